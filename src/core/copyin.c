/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "core/copyin.h"

#include <vrift/error.h>

#include <assert.h>
#include <string.h>

/* A size beyond this is garbage in the caller's struct, not a future version. */
#define SANE_SIZE 4096u

int32_t vr_copyin(void *ours, size_t known, size_t first, const void *theirs)
{
    assert(first >= sizeof(uint32_t) && first <= known);
    uint32_t size = 0;
    uint32_t known32 = (uint32_t)known;
    if (theirs) {
        memcpy(&size, theirs, sizeof size);
        if (size < first)
            return -VRIFT_EINVAL;
        if (size > SANE_SIZE)
            return -VRIFT_E2BIG;
        for (size_t i = known; i < size; i++)
            if (((const unsigned char *)theirs)[i])
                return -VRIFT_E2BIG;
    }
    memset(ours, 0, known);
    if (theirs)
        memcpy(ours, theirs, size < known ? size : known);
    memcpy(ours, &known32, sizeof known32);
    return 0;
}
