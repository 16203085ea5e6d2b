/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * A writer of JSON to standard output.
 *
 * Names are bytes, JSON is Unicode. What is valid UTF-8 is written as it is; any other byte 0xNN is written as the
 * lone surrogate \udcNN, as Python's "surrogateescape" does, so json.loads() and os.fsencode() give back the very
 * bytes.
 */
#ifndef VR_JSON_H
#define VR_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vrift/types.h>

#define VR_JSON_DEPTH 8

struct vr_json {
    int depth;
    bool filled[VR_JSON_DEPTH]; /* something was written at this depth */
    char closing[VR_JSON_DEPTH];
};

/* `key` is NULL in arrays and at the top. */
void vr_json_object(struct vr_json *json, const char *key);
void vr_json_array(struct vr_json *json, const char *key);
void vr_json_end(struct vr_json *json); /* of the innermost object or array; at the top, ends the line */
void vr_json_text(struct vr_json *json, const char *key, const char *text);
void vr_json_bytes(struct vr_json *json, const char *key, const char *bytes, size_t length);
void vr_json_number(struct vr_json *json, const char *key, uint64_t number);
void vr_json_signed(struct vr_json *json, const char *key, int64_t number);
void vr_json_decimal(struct vr_json *json, const char *key, double number);
void vr_json_bool(struct vr_json *json, const char *key, bool value);
void vr_json_null(struct vr_json *json, const char *key);
void vr_json_digest(struct vr_json *json, const char *key, const struct vrift_digest *digest); /* null for NONE */

/* The fields of `attr` that its mask has, as members of the object that is open. */
void vr_json_stat(struct vr_json *json, const struct vrift_stat *attr);

#endif
