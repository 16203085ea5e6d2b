/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "cli/json.h"

#include <stdio.h>
#include <string.h>

#include <vrift/store.h>

#include "cli/look.h"
#include "cli/output.h"

/* The length of the UTF-8 sequence at `at`, 0 if it is not one (overlong forms and surrogates are not). */
static size_t utf8_length(const unsigned char *at, size_t left)
{
    unsigned char first = at[0];
    unsigned char low = 0x80, high = 0xbf; /* of the second byte */
    size_t length;
    if (first < 0x80)
        return 1;
    if (first >= 0xc2 && first <= 0xdf) {
        length = 2;
    } else if (first >= 0xe0 && first <= 0xef) {
        length = 3;
        low = first == 0xe0 ? 0xa0 : 0x80;
        high = first == 0xed ? 0x9f : 0xbf;
    } else if (first >= 0xf0 && first <= 0xf4) {
        length = 4;
        low = first == 0xf0 ? 0x90 : 0x80;
        high = first == 0xf4 ? 0x8f : 0xbf;
    } else {
        return 0;
    }
    if (left < length || at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

static void write_string(const char *bytes, size_t length)
{
    const unsigned char *at = (const unsigned char *)bytes;
    vr_output_bytes("\"", 1);
    while (length > 0) {
        size_t step = utf8_length(at, length);
        if (step == 0)
            vr_output_format("\\udc%02x", *at);
        else if (*at == '"' || *at == '\\')
            vr_output_format("\\%c", *at);
        else if (*at < 0x20 || *at == 0x7f)
            vr_output_format("\\u%04x", *at);
        else
            vr_output_bytes(at, step);
        step = step ? step : 1;
        at += step;
        length -= step;
    }
    vr_output_bytes("\"", 1);
}

/* What stands before a value: a comma, a new line, the indent, the key. */
static void lead(struct vr_json *json, const char *key)
{
    if (json->depth > 0) {
        vr_output_text(json->filled[json->depth - 1] ? ",\n" : "\n");
        json->filled[json->depth - 1] = true;
        for (int i = 0; i < json->depth; i++)
            vr_output_text("  ");
    }
    if (key) {
        write_string(key, strlen(key));
        vr_output_text(": ");
    }
}

static void open_level(struct vr_json *json, const char *key, char opening, char closing)
{
    lead(json, key);
    vr_output_bytes(&opening, 1);
    json->filled[json->depth] = false;
    json->closing[json->depth] = closing;
    json->depth++;
}

void vr_json_object(struct vr_json *json, const char *key)
{
    open_level(json, key, '{', '}');
}

void vr_json_array(struct vr_json *json, const char *key)
{
    open_level(json, key, '[', ']');
}

void vr_json_end(struct vr_json *json)
{
    json->depth--;
    if (json->filled[json->depth]) {
        vr_output_text("\n");
        for (int i = 0; i < json->depth; i++)
            vr_output_text("  ");
    }
    vr_output_bytes(&json->closing[json->depth], 1);
    if (json->depth == 0)
        vr_output_text("\n");
}

void vr_json_bytes(struct vr_json *json, const char *key, const char *bytes, size_t length)
{
    lead(json, key);
    write_string(bytes, length);
}

void vr_json_text(struct vr_json *json, const char *key, const char *text)
{
    vr_json_bytes(json, key, text, strlen(text));
}

void vr_json_number(struct vr_json *json, const char *key, uint64_t number)
{
    lead(json, key);
    vr_output_format("%llu", (unsigned long long)number);
}

void vr_json_signed(struct vr_json *json, const char *key, int64_t number)
{
    lead(json, key);
    vr_output_format("%lld", (long long)number);
}

void vr_json_decimal(struct vr_json *json, const char *key, double number)
{
    lead(json, key);
    vr_output_format("%.6f", number);
}

void vr_json_bool(struct vr_json *json, const char *key, bool value)
{
    lead(json, key);
    vr_output_text(value ? "true" : "false");
}

void vr_json_null(struct vr_json *json, const char *key)
{
    lead(json, key);
    vr_output_text("null");
}

void vr_json_digest(struct vr_json *json, const char *key, const struct vrift_digest *digest)
{
    char hex[65];
    if (digest->algorithm == VRIFT_DIGEST_NONE || vrift_digest_format(digest, hex) < 0)
        vr_json_null(json, key);
    else
        vr_json_text(json, key, hex);
}

void vr_json_stat(struct vr_json *json, const struct vrift_stat *attr)
{
    char mode[16];
    snprintf(mode, sizeof mode, "%04o", attr->mode & 07777);
    vr_json_text(json, "type", vr_look_type(attr->mode));
    vr_json_text(json, "mode", mode);
    vr_json_number(json, "uid", attr->uid);
    vr_json_number(json, "gid", attr->gid);
    vr_json_number(json, "size", attr->size);
    if (attr->mask & VRIFT_STAT_NLINK)
        vr_json_number(json, "nlink", attr->nlink);
    if (attr->mask & VRIFT_STAT_INO)
        vr_json_number(json, "ino", attr->ino);
    if ((attr->mode & VRIFT_S_IFMT) == VRIFT_S_IFCHR || (attr->mode & VRIFT_S_IFMT) == VRIFT_S_IFBLK) {
        vr_json_number(json, "major", VRIFT_DEV_MAJOR(attr->rdev));
        vr_json_number(json, "minor", VRIFT_DEV_MINOR(attr->rdev));
    }
    vr_json_object(json, "mtime");
    vr_json_signed(json, "sec", attr->mtime.sec);
    vr_json_number(json, "nsec", attr->mtime.nsec);
    vr_json_end(json);
    if (attr->mask & VRIFT_STAT_DIGEST) {
        struct vrift_digest digest = {.algorithm = attr->digest_algorithm};
        memcpy(digest.bytes, attr->digest, sizeof digest.bytes);
        vr_json_digest(json, "digest", &digest);
    }
}
