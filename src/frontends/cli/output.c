/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "cli/output.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/report.h"

/* One thread writes. */
static struct {
    char buffer[65536];
    size_t used;
    int error; /* errno of the first failure */
} out;

static void write_all(const char *bytes, size_t length)
{
    while (length > 0 && !out.error) {
        ssize_t written = write(STDOUT_FILENO, bytes, length);
        if (written < 0 && errno != EINTR)
            out.error = errno;
        if (written > 0) {
            bytes += written;
            length -= (size_t)written;
        }
    }
}

int vr_output_flush(void)
{
    write_all(out.buffer, out.used);
    out.used = 0;
    return out.error;
}

int vr_output_error(void)
{
    return out.error;
}

void vr_output_bytes(const void *bytes, size_t length)
{
    if (length > sizeof out.buffer - out.used)
        vr_output_flush();
    if (length > sizeof out.buffer) {
        write_all(bytes, length);
        return;
    }
    memcpy(out.buffer + out.used, bytes, length);
    out.used += length;
}

void vr_output_text(const char *text)
{
    vr_output_bytes(text, strlen(text));
}

void vr_output_format(const char *format, ...)
{
    char text[1024];
    va_list list;
    va_start(list, format);
    int length = vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (length > 0)
        vr_output_bytes(text, (size_t)length < sizeof text ? (size_t)length : sizeof text - 1);
}

void vr_output_name(const char *name)
{
    static int terminal = -1;
    if (terminal < 0)
        terminal = isatty(STDOUT_FILENO) == 1;
    if (!terminal) {
        vr_output_text(name);
        return;
    }
    char escaped[5];
    for (const char *byte = name; *byte; byte++)
        vr_output_text(vr_report_escape((unsigned char)*byte, escaped));
}

const char *vr_output_size(uint64_t bytes, char buf[32])
{
    static const char units[][4] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (bytes < 1024) {
        snprintf(buf, 32, "%u B", (unsigned)bytes);
        return buf;
    }
    double value = (double)bytes / 1024;
    size_t unit = 0;
    while (value >= 1023.95 && unit + 1 < sizeof units / sizeof units[0]) {
        value /= 1024;
        unit++;
    }
    snprintf(buf, 32, "%.1f %s", value, units[unit]);
    return buf;
}
