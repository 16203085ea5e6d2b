/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Names of capabilities and consistency models. */
#include <vrift/backend.h>

static const char *const capabilities[VRIFT_CAPABILITY_COUNT] = {
    [VRIFT_CAPABILITY_ATOMIC_RENAME] = "atomic-rename",
    [VRIFT_CAPABILITY_RENAME_EXCHANGE] = "rename-exchange",
    [VRIFT_CAPABILITY_RENAME_NOREPLACE] = "rename-noreplace",
    [VRIFT_CAPABILITY_RENAME_WHITEOUT] = "rename-whiteout",
    [VRIFT_CAPABILITY_DIRECTORY_RENAME] = "directory-rename",
    [VRIFT_CAPABILITY_HARD_LINKS] = "hard-links",
    [VRIFT_CAPABILITY_SYMLINKS] = "symlinks",
    [VRIFT_CAPABILITY_SPECIAL_FILES] = "special-files",
    [VRIFT_CAPABILITY_UNIX_PERMISSIONS] = "unix-permissions",
    [VRIFT_CAPABILITY_OWNERSHIP] = "ownership",
    [VRIFT_CAPABILITY_USER_XATTRS] = "user-xattrs",
    [VRIFT_CAPABILITY_TRUSTED_XATTRS] = "trusted-xattrs",
    [VRIFT_CAPABILITY_ACLS] = "acls",
    [VRIFT_CAPABILITY_LOCKS] = "locks",
    [VRIFT_CAPABILITY_CREATE] = "create",
    [VRIFT_CAPABILITY_RANDOM_WRITE] = "random-write",
    [VRIFT_CAPABILITY_APPEND] = "append",
    [VRIFT_CAPABILITY_TRUNCATE] = "truncate",
    [VRIFT_CAPABILITY_SPARSE_FILES] = "sparse-files",
    [VRIFT_CAPABILITY_CLONE] = "clone",
    [VRIFT_CAPABILITY_MMAP] = "mmap",
    [VRIFT_CAPABILITY_STABLE_INODES] = "stable-inodes",
    [VRIFT_CAPABILITY_CASE_SENSITIVE] = "case-sensitive",
    [VRIFT_CAPABILITY_SET_TIMES] = "set-times",
    [VRIFT_CAPABILITY_TMPFILE] = "tmpfile",
    [VRIFT_CAPABILITY_DIGEST] = "digest",
    [VRIFT_CAPABILITY_UNLINKED_OPEN] = "unlinked-open",
    [VRIFT_CAPABILITY_FLAGS] = "flags",
};

static const char *const models[] = {
    [VRIFT_CONSISTENCY_IMMUTABLE] = "immutable",
    [VRIFT_CONSISTENCY_EXCLUSIVE] = "exclusive",
    [VRIFT_CONSISTENCY_EXCLUSIVE_WRITETHROUGH] = "exclusive-writethrough",
    [VRIFT_CONSISTENCY_SHARED_NOTIFY] = "shared-notify",
    [VRIFT_CONSISTENCY_SHARED_REVALIDATE] = "shared-revalidate",
    [VRIFT_CONSISTENCY_EVENTUAL] = "eventual",
};

const char *vrift_capability_name(uint32_t capability)
{
    return capability < VRIFT_CAPABILITY_COUNT ? capabilities[capability] : NULL;
}

const char *vrift_consistency_name(uint32_t model)
{
    return model < sizeof models / sizeof models[0] ? models[model] : NULL;
}
