/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Calls on many paths at once. */
#include <vrift/error.h>
#include <vrift/fs.h>

int64_t vrift_statat_batch(vrift_task *task, int32_t dirfd, const char *const *paths, uint32_t count, uint64_t flags,
                           struct vrift_stat *out, int32_t *results)
{
    if (!task || (count && (!paths || !out || !results)) || flags & ~(VRIFT_AT_SYMLINK_NOFOLLOW | VRIFT_AT_EMPTY_PATH))
        return -VRIFT_EINVAL;
    int64_t found = 0;
    for (uint32_t i = 0; i < count; i++) {
        results[i] = vrift_statat(task, dirfd, paths[i], flags, &out[i]);
        found += results[i] == 0;
    }
    return found;
}
