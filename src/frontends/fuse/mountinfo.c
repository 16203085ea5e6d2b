/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "fuse/mountinfo.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Undoes the octal escapes of blanks, tabs, newlines and backslashes, in place. */
static void unescape(char *text)
{
    char *to = text;
    while (*text) {
        if (text[0] == '\\' && text[1] >= '0' && text[1] <= '3' && text[2] && text[3]) {
            *to++ = (char)(((text[1] - '0') << 6) | ((text[2] - '0') << 3) | (text[3] - '0'));
            text += 4;
        } else {
            *to++ = *text++;
        }
    }
    *to = '\0';
}

/* "36 35 98:0 /root /mount/point options ... - type source options": whether it is `path`, and fills out. */
static int32_t parse(char *line, const char *path, struct vr_mountinfo *out)
{
    char *field = NULL, *rest = line, *type = strstr(line, " - ");
    for (int32_t i = 0; i < 5; i++)
        field = strtok_r(i == 0 ? line : NULL, " ", &rest);
    if (!field || !type)
        return 0;
    unescape(field);
    if (strcmp(field, path) != 0)
        return 0;
    out->id = strtoll(line, NULL, 10);
    (void)snprintf(out->type, sizeof(out->type), "%.*s", (int)strcspn(type + 3, " "), type + 3);
    return 1;
}

int32_t vr_mountinfo_find(const char *path, struct vr_mountinfo *out)
{
    FILE *file = fopen("/proc/self/mountinfo", "re");
    char *line = NULL;
    size_t room = 0;
    int32_t result = -ENOENT;
    if (!file)
        return -errno;
    while (getline(&line, &room, file) > 0)
        if (parse(line, path, out))
            result = 0; /* the last one is on top */
    free(line);
    (void)fclose(file);
    return result;
}
