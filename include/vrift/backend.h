/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * How to write a file system: the table of functions that a backend fills in.
 *
 * A backend holds bytes and names. It does not walk paths, follow symlinks, know `.` and `..`, check permissions,
 * apply an umask, or know about mounts: the core has done all that when it calls a slot. A slot gets `self`, the
 * backend's own object, and nodes.
 *
 * A *node* is the backend's word for an inode. Its key names it for good: two nodes with equal keys (bytes,
 * length and
 * generation) are one inode, and a key is not used again for another. Its handle is whatever pointer the backend
 * wants to see again. Every node that a slot hands out is given back by exactly one call of `forget` with the same
 * handle, also when the core knew the key already. An inode whose last name is gone stays usable until its
 * nodes are
 * forgotten and its files released.
 *
 * Locks: the core calls `create`, `link`, `unlink` and `rename` with the directories involved locked against each
 * other, `setattr` and `pwrite` of one inode one at a time, and everything else from any number of threads at
 * once. No
 * slot is called under a lock that another slot's caller might need, so a slot may block, and may call the public
 * interface on *another* superblock of lower depth.
 *
 * Results are 0 (or a count) or -VRIFT_E...; outputs are filled only on success. A slot that may be NULL says so.
 */
#ifndef VRIFT_BACKEND_H
#define VRIFT_BACKEND_H

#include <vrift/types.h>
#include <vrift/watch.h>

#define VRIFT_KEY_MAX 32

/* The identity of an inode within its superblock. Unused bytes are zero. */
struct vrift_key {
    uint8_t bytes[VRIFT_KEY_MAX];
    uint32_t length;     /* of bytes that count, 1 to 32 */
    uint32_t generation; /* tells apart two inodes that bear the same bytes one after the other */
};

struct vrift_node {
    struct vrift_key key;
    void *handle;
};

/* A name as the core hands it down: 1 to 255 bytes, no '/', no NUL within, never "." or "..". */
struct vrift_name {
    const char *bytes; /* `length` bytes followed by a NUL */
    uint32_t length;
    uint32_t hash; /* the core's hash of the bytes; backends may ignore it */
};

/* What a look-up answers. attr.mask must hold TYPE, and should hold BASIC when that costs nothing more. */
struct vrift_entry {
    struct vrift_node node;
    struct vrift_stat attr;
};

/* What `create` is to make. */
struct vrift_create {
    uint32_t size;      /* sizeof(struct vrift_create) */
    uint32_t mode;      /* type and permission bits, umask applied */
    uint32_t uid;       /* owner of the new inode */
    uint32_t gid;       /* group of the new inode, setgid inheritance applied */
    uint64_t rdev;      /* of a device */
    const char *target; /* of a symlink, NUL-terminated */
    uint64_t flags;     /* VRIFT_CREATE_... */
    /* ACLs that the inode is born with, as values of the xattrs of that name; NULL: none. Only where ACLS is claimed. */
    const void *acl;           /* of system.posix_acl_access */
    const void *default_acl;   /* of system.posix_acl_default */
    uint32_t acl_size;         /* bytes */
    uint32_t default_acl_size; /* bytes */
};
#define VRIFT_CREATE_TMPFILE    1ULL /* no name: name is NULL, nlink starts at 0 */
#define VRIFT_CREATE_UNLINKABLE 2ULL /* with TMPFILE: may never be linked (O_EXCL) */

/* Which attributes `setattr` is to change. */
struct vrift_setattr {
    uint32_t size; /* sizeof(struct vrift_setattr) */
    uint32_t mode; /* permission bits */
    uint64_t mask; /* VRIFT_SET_... */
    uint32_t uid;
    uint32_t gid;
    uint64_t length; /* bytes */
    struct vrift_timespec atime, mtime;
    uint64_t flags; /* VRIFT_FL_..., all of them */
};
#define VRIFT_SET_MODE      0x01ULL
#define VRIFT_SET_UID       0x02ULL
#define VRIFT_SET_GID       0x04ULL
#define VRIFT_SET_SIZE      0x08ULL
#define VRIFT_SET_ATIME     0x10ULL
#define VRIFT_SET_MTIME     0x20ULL
#define VRIFT_SET_ATIME_NOW 0x40ULL  /* with SET_ATIME: the backend's clock, not the field */
#define VRIFT_SET_MTIME_NOW 0x80ULL  /* with SET_MTIME: likewise */
#define VRIFT_SET_FLAGS     0x100ULL /* -VRIFT_EOPNOTSUPP for those that it cannot keep */

/* One entry that `readdir` reports. */
struct vrift_dir_entry {
    const char *name; /* borrowed for the call of emit */
    uint32_t name_length;
    uint32_t type;                 /* VRIFT_DT_... */
    uint64_t ino;                  /* inode number, 0 if unknown */
    uint64_t cookie;               /* a later readdir(cookie) goes on after this entry; 1 to 2^62 */
    const struct vrift_stat *attr; /* borrowed for the call of emit; NULL: not at hand, the core asks if it must */
};

/* The core's receiver of entries. A result other than 0 means: stop, this entry was not taken. */
typedef int32_t(VRIFT_CALLBACK *vrift_emit_fn)(const struct vrift_dir_entry *entry, void *payload);

/* What of a file is to be mapped, and how. Both offset and length are whole pages; the end of the file may be within. */
struct vrift_map_range {
    uint64_t offset; /* bytes from the start of the file */
    uint64_t length; /* bytes, not 0 */
    uint64_t prot;   /* VRIFT_PROT_... */
    uint64_t flags;  /* VRIFT_MAP_SHARED or VRIFT_MAP_PRIVATE */
};

/* A mapping that a backend made. */
struct vrift_map_place {
    void *address;                /* where the first byte is */
    void *handle;                 /* the backend's own; comes back in map_sync and unmap */
    struct vrift_map_range range; /* filled in by the core */
};

/* -- Capabilities. Append-only. ----------------------------------------------------------------------------------- */

#define VRIFT_CAPABILITY_ATOMIC_RENAME    1
#define VRIFT_CAPABILITY_RENAME_EXCHANGE  2
#define VRIFT_CAPABILITY_RENAME_NOREPLACE 3
#define VRIFT_CAPABILITY_RENAME_WHITEOUT  4
#define VRIFT_CAPABILITY_DIRECTORY_RENAME 5 /* of any directory; an overlay says -VRIFT_EXDEV for lower ones */
#define VRIFT_CAPABILITY_HARD_LINKS       6
#define VRIFT_CAPABILITY_SYMLINKS         7
#define VRIFT_CAPABILITY_SPECIAL_FILES    8 /* fifos, sockets, devices */
#define VRIFT_CAPABILITY_UNIX_PERMISSIONS 9
#define VRIFT_CAPABILITY_OWNERSHIP        10
#define VRIFT_CAPABILITY_USER_XATTRS      11
#define VRIFT_CAPABILITY_TRUSTED_XATTRS   12
#define VRIFT_CAPABILITY_ACLS             13
#define VRIFT_CAPABILITY_LOCKS            14
#define VRIFT_CAPABILITY_CREATE           15
#define VRIFT_CAPABILITY_RANDOM_WRITE     16
#define VRIFT_CAPABILITY_APPEND           17
#define VRIFT_CAPABILITY_TRUNCATE         18
#define VRIFT_CAPABILITY_SPARSE_FILES     19
#define VRIFT_CAPABILITY_CLONE            20
#define VRIFT_CAPABILITY_MMAP             21
#define VRIFT_CAPABILITY_STABLE_INODES    22 /* an inode number survives forgetting */
#define VRIFT_CAPABILITY_CASE_SENSITIVE   23
#define VRIFT_CAPABILITY_SET_TIMES        24
#define VRIFT_CAPABILITY_TMPFILE          25
#define VRIFT_CAPABILITY_DIGEST           26 /* stat answers the content's digest without reading it */
#define VRIFT_CAPABILITY_UNLINKED_OPEN    27 /* an open file survives its last name */
#define VRIFT_CAPABILITY_FLAGS            28 /* immutable, append-only and such, as chattr(1) sets them */
#define VRIFT_CAPABILITY_COUNT            29

/* Levels of support. */
#define VRIFT_SUPPORT_NONE     0
#define VRIFT_SUPPORT_EMULATED 1 /* by libvrift, at a cost */
#define VRIFT_SUPPORT_NATIVE   2

/* Where the knowledge comes from. */
#define VRIFT_SOURCE_DECLARED    0
#define VRIFT_SOURCE_CONFIGURED  1
#define VRIFT_SOURCE_PROBED      2
#define VRIFT_SOURCE_RACE_PROBED 3

struct vrift_capability {
    uint32_t service;   /* what the service below can do: VRIFT_SUPPORT_... */
    uint32_t effective; /* what a caller gets: VRIFT_SUPPORT_... */
    uint32_t source;    /* VRIFT_SOURCE_... */
    int32_t error;      /* what a caller gets where effective is NONE: -VRIFT_E... */
};

/* -- Consistency. It alone decides what is cached. ---------------------------------------------------------------- */

#define VRIFT_ASPECT_NAMES      0 /* what names mean, and mode, owner and group where a walk checks them */
#define VRIFT_ASPECT_ATTRIBUTES 1 /* what stat answers */
#define VRIFT_ASPECT_DATA       2 /* bytes; the core keeps none, so this is what the backend itself does */
#define VRIFT_ASPECT_LISTINGS   3 /* that a directory has no names but those known; listings are not kept otherwise */
#define VRIFT_ASPECT_COUNT      4

#define VRIFT_CONSISTENCY_IMMUTABLE              1 /* never changes */
#define VRIFT_CONSISTENCY_EXCLUSIVE              2 /* changes only through this superblock */
#define VRIFT_CONSISTENCY_EXCLUSIVE_WRITETHROUGH 3 /* likewise, and others may look at what lies below */
#define VRIFT_CONSISTENCY_SHARED_NOTIFY          4 /* others change it and the backend hears of it */
#define VRIFT_CONSISTENCY_SHARED_REVALIDATE      5 /* others change it; an answer older than max_age_ns is asked anew */
#define VRIFT_CONSISTENCY_EVENTUAL               6 /* likewise, and the backend's own answers are of any age */

struct vrift_consistency {
    uint32_t model;      /* VRIFT_CONSISTENCY_... */
    uint32_t flags;      /* VRIFT_CONSISTENCY_SPENT or 0 */
    uint64_t max_age_ns; /* how stale an answer may be, ns; 0: none may. Of no meaning up to EXCLUSIVE_WRITETHROUGH */
};
#define VRIFT_CONSISTENCY_SPENT 1u /* the backend's own answers are that old already: the core keeps none */

/* -- What others do, as a backend hears of it. --------------------------------------------------------------------- */

/* One thing that happened to what the backend has handed out. */
struct vrift_notice {
    uint32_t size; /* sizeof(struct vrift_notice) */
    /*
     * VRIFT_IN_CREATE, _DELETE, _MOVED_FROM, _MOVED_TO, _ATTRIB, _MODIFY and so on, with _ISDIR where that is known;
     * _Q_OVERFLOW: anything may have happened to anything; _IGNORED: nothing will be heard of the names in `dir`
     * from now on (or of `name` alone, or of the attributes of `node`), so that answers about them are asked anew once
     * they are older than max_age_ns.
     */
    uint32_t mask;
    uint32_t cookie;              /* joins _MOVED_FROM and _MOVED_TO */
    uint32_t name_length;         /* 0: no name is known */
    const char *name;             /* in dir; need not end in a NUL */
    const struct vrift_key *dir;  /* NULL: not known */
    const struct vrift_key *node; /* what it is about; NULL: not known */
    uint32_t flags;               /* VRIFT_NOTICE_... */
    uint32_t reserved;
};

#define VRIFT_NOTICE_QUIET 1u /* only what is cached is doubtful: watchers have heard of it otherwise */

/* The core's receiver. Any thread may call it, but not under a lock that a slot takes. */
typedef void(VRIFT_CALLBACK *vrift_notice_fn)(const struct vrift_notice *notice, void *payload);

/* -- The table ---------------------------------------------------------------------------------------------------- */

struct vrift_backend_ops {
    uint32_t size; /* sizeof(struct vrift_backend_ops) */
    uint32_t reserved;
    const char *name; /* of the kind: "mem"; shown to people */

    /* Expected to answer the root directory. Called once, by vrift_sb_new(). Never NULL. */
    int32_t(VRIFT_CALLBACK *root)(void *self, struct vrift_entry *out);

    /* Expected to free self. Called once, when no node is held and no file open. NULL: nothing to free. */
    void(VRIFT_CALLBACK *destroy)(void *self);

    /*
     * Expected to answer what it can do. NULL, or -VRIFT_EINVAL for a capability it does not know: NONE with
     * -VRIFT_EOPNOTSUPP. An answer that promises too much makes programs lose data.
     */
    int32_t(VRIFT_CALLBACK *capability)(void *self, uint32_t capability, struct vrift_capability *out);

    /*
     * Expected to answer how stale its answers may be. Asked once for each aspect, by vrift_sb_new(). NULL:
     * EXCLUSIVE throughout. A claim stronger than the truth makes callers see what is long gone.
     */
    int32_t(VRIFT_CALLBACK *consistency)(void *self, uint32_t aspect, struct vrift_consistency *out);

    /*
     * How many superblocks lie on top of each other below this one: 0 for a backend that keeps its own bytes, one
     * more than the deepest layer for one that calls the public interface. Orders locks. NULL: 0.
     */
    uint32_t(VRIFT_CALLBACK *depth)(void *self);

    /* Expected to describe the whole. NULL: the core answers with the name length and zeroes. */
    int32_t(VRIFT_CALLBACK *statfs)(void *self, struct vrift_statfs *out);

    /* Expected to bring everything to stable storage. NULL: nothing to do. */
    int32_t(VRIFT_CALLBACK *sync)(void *self);

    /*
     * Expected to resolve names[0] in dir, names[1] in what that is, and so on, filling entries[i] and counting
     * them in *done. Expected to return 0 when all are found, or when the last entry filled is not a directory;
     * -VRIFT_ENOENT when names[*done] does not exist; another error when it could not be looked up. *done is valid
     * in all cases, and every entry counted is held by the core. Resolving fewer names than asked without a reason
     * is allowed as long as it is at least one. Never NULL.
     */
    int32_t(VRIFT_CALLBACK *walk)(void *self, const struct vrift_node *dir, const struct vrift_name *names,
                                  uint32_t count, struct vrift_entry *entries, uint32_t *done);

    /* Gives back one node that a slot handed out. May be called from any thread, with no lock held. NULL: ignored. */
    void(VRIFT_CALLBACK *forget)(void *self, const struct vrift_node *node);

    /* Expected to answer at least the attributes in mask that it knows. Never NULL. */
    int32_t(VRIFT_CALLBACK *getattr)(void *self, const struct vrift_node *node, uint64_t mask, struct vrift_stat *out);

    /*
     * Expected to change the attributes in set->mask, all or none, to update ctime, and to answer the attributes
     * after the change. `file` is the handle of an open file or NULL. NULL slot: -VRIFT_EROFS.
     */
    int32_t(VRIFT_CALLBACK *setattr)(void *self, const struct vrift_node *node, void *file,
                                     const struct vrift_setattr *set, struct vrift_stat *out);

    /*
     * Expected to write the text of a symlink, without a NUL, and return its length. It is kept for as long as the node:
     * a symlink that means something else is another node. NULL: -VRIFT_EINVAL.
     */
    int64_t(VRIFT_CALLBACK *readlink)(void *self, const struct vrift_node *node, char *buf, size_t len);

    /*
     * Expected to emit the entries of dir after cookie (0: from the start) in an order in which an entry that stays
     * is emitted exactly once over a whole scan, whatever else comes and goes; neither `.` nor `..`. Expected to
     * return 0 when emit stopped it or when there are no more, setting *end to 1 in the latter case. `mask` says
     * which attributes the caller wants with each entry (VRIFT_STAT_..., 0: none): a backend that has them at hand
     * hands them to emit, as getattr would answer them at that moment; one that would have to ask leaves them out.
     * Called without locks; emit takes none that a slot needs. Never NULL.
     */
    int32_t(VRIFT_CALLBACK *readdir)(void *self, const struct vrift_node *dir, uint64_t cookie, uint64_t mask,
                                     vrift_emit_fn emit, void *payload, uint32_t *end);

    /*
     * Expected to make what `how` says under a name that does not exist (-VRIFT_EEXIST if it does), to stamp it and
     * the directory with its clock, and to answer the new inode. NULL: -VRIFT_EROFS.
     */
    int32_t(VRIFT_CALLBACK *create)(void *self, const struct vrift_node *dir, const struct vrift_name *name,
                                    const struct vrift_create *how, struct vrift_entry *out);

    /* Expected to give node one more name and answer its attributes. NULL: -VRIFT_EPERM, as Linux. */
    int32_t(VRIFT_CALLBACK *link)(void *self, const struct vrift_node *node, const struct vrift_node *dir,
                                  const struct vrift_name *name, struct vrift_stat *out);

    /*
     * Expected to remove a name that the core last saw to mean `node`; a directory if flags has
     * VRIFT_AT_REMOVEDIR, and then -VRIFT_ENOTEMPTY unless it is empty. NULL: -VRIFT_EROFS.
     */
    int32_t(VRIFT_CALLBACK *unlink)(void *self, const struct vrift_node *dir, const struct vrift_name *name,
                                    const struct vrift_node *node, uint64_t flags);

    /*
     * Expected to move old_name to new_name, atomically where it claims ATOMIC_RENAME. `victim` is what new_name
     * meant, or NULL; the core has checked types, loops and permissions, not that a victim directory is empty.
     * flags: VRIFT_RENAME_...; one that it lacks: -VRIFT_EINVAL. NULL: -VRIFT_EROFS.
     */
    int32_t(VRIFT_CALLBACK *rename)(void *self, const struct vrift_node *old_dir, const struct vrift_name *old_name,
                                    const struct vrift_node *node, const struct vrift_node *new_dir,
                                    const struct vrift_name *new_name, const struct vrift_node *victim, uint64_t flags);

    /*
     * Expected to make a regular file ready for I/O. flags: the access mode, VRIFT_O_APPEND, VRIFT_O_TRUNC (the core
     * has checked that truncating is allowed) and VRIFT_O_SYNC. A backend that could not write it back later must
     * refuse here. *file comes back in every call on the open file. NULL: always works, file is NULL.
     */
    int32_t(VRIFT_CALLBACK *open)(void *self, const struct vrift_node *node, uint64_t flags, void **file);

    /* Called once for each successful open, when the description dies. Its error reaches vrift_close(). May be NULL. */
    int32_t(VRIFT_CALLBACK *release)(void *self, const struct vrift_node *node, void *file);

    /* Expected to read, and to return fewer bytes than asked only at the end. NULL: -VRIFT_EINVAL. */
    int64_t(VRIFT_CALLBACK *pread)(void *self, const struct vrift_node *node, void *file, void *buf, size_t len,
                                   uint64_t offset);

    /*
     * Expected to write at offset, or at the end if flags has VRIFT_O_APPEND, in one step against other writers;
     * to zero what lies between the old end and offset; and to tell in *end where the write ended. Stale bytes
     * after a short truncate and a later write reach programs as corruption. NULL: -VRIFT_EROFS.
     */
    int64_t(VRIFT_CALLBACK *pwrite)(void *self, const struct vrift_node *node, void *file, const void *buf, size_t len,
                                    uint64_t offset, uint64_t flags, uint64_t *end);

    /* Expected to bring a file or directory to stable storage. NULL: nothing to do. */
    int32_t(VRIFT_CALLBACK *fsync)(void *self, const struct vrift_node *node, void *file);

    /* Expected to answer where data or a hole starts at or after offset. NULL: all of the file is data. */
    int64_t(VRIFT_CALLBACK *seek)(void *self, const struct vrift_node *node, void *file, uint64_t offset,
                                  int32_t whence);

    /*
     * Extended attributes, with the errors of getxattr(2); names come with their namespace. NULL: -VRIFT_EOPNOTSUPP.
     * Who claims ACLS keeps system.posix_acl_access and system.posix_acl_default like any other, for the core, which
     * reads, checks and changes them and keeps mode and ACL in step; a backend that does so itself does no harm. An
     * answer with VRIFT_STAT_RIGHTS in its mask spares the core from asking for ACLs that do not exist. One without
     * it also says that the backend itself drops security.capability when a file changes.
     */
    int64_t(VRIFT_CALLBACK *getxattr)(void *self, const struct vrift_node *node, const char *name, void *buf,
                                      size_t len);
    int32_t(VRIFT_CALLBACK *setxattr)(void *self, const struct vrift_node *node, const char *name, const void *value,
                                      size_t len, uint64_t flags);
    int64_t(VRIFT_CALLBACK *listxattr)(void *self, const struct vrift_node *node, char *buf, size_t len);
    int32_t(VRIFT_CALLBACK *removexattr)(void *self, const struct vrift_node *node, const char *name);

    /*
     * Expected to answer 0 and fresh attributes if `node` is still what `name` in `dir` means, -VRIFT_ESTALE if
     * not. Called under SHARED_REVALIDATE once an answer is older than max_age_ns. NULL: the core looks up anew.
     */
    int32_t(VRIFT_CALLBACK *revalidate)(void *self, const struct vrift_node *dir, const struct vrift_name *name,
                                        const struct vrift_node *node, struct vrift_stat *out);

    /*
     * Expected to change the space of a file as fallocate(2) does, all or nothing, and to stamp mtime and ctime. mode is
     * a combination of VRIFT_FALLOC_... that Linux allows; length is not 0 and offset + length at most INT64_MAX; the
     * file is open for writing and locked as for pwrite. Expected to answer -VRIFT_EOPNOTSUPP for a mode that it
     * lacks, -VRIFT_EINVAL for a range that the mode does not take. NULL: -VRIFT_EOPNOTSUPP.
     */
    int32_t(VRIFT_CALLBACK *fallocate)(void *self, const struct vrift_node *node, void *file, uint64_t mode,
                                       uint64_t offset, uint64_t length);

    /*
     * Expected to copy bytes from one file to another (or the same, where the ranges do not overlap) without handing
     * them up, and to return how many: fewer than length only where the source ends, more at the next call. flags:
     * VRIFT_COPY_CLONE, to share the blocks or fail. `to` is locked as for pwrite. NULL, or -VRIFT_EOPNOTSUPP: the
     * core copies through a buffer, unless flags has CLONE.
     */
    int64_t(VRIFT_CALLBACK *copy_range)(void *self, const struct vrift_node *from, void *from_file,
                                        uint64_t from_offset, const struct vrift_node *to, void *to_file,
                                        uint64_t to_offset, uint64_t length, uint64_t flags);

    /*
     * Expected to map the bytes of an open file into memory and to fill `out`. Stores through a shared mapping and
     * pread and pwrite see each other at once; bytes beyond the end of the file read as zeroes up to the end of its last
     * page; the mapping outlives the file's last name, and its release if `file` is no longer needed for it: the core
     * releases the file only after unmap. The core has checked the range, the flags and that the file was opened for
     * what the mapping may do. NULL: -VRIFT_ENODEV.
     */
    int32_t(VRIFT_CALLBACK *map)(void *self, const struct vrift_node *node, void *file,
                                 const struct vrift_map_range *range, struct vrift_map_place *out);

    /*
     * Expected to make what was stored through the mapping known to the file's attributes and, with VRIFT_MS_SYNC, to
     * bring it to stable storage. The bytes are those of the mapping, from its start. NULL: nothing to do.
     */
    int32_t(VRIFT_CALLBACK *map_sync)(void *self, const struct vrift_node *node, const struct vrift_map_place *mapping,
                                      uint64_t offset, uint64_t length, uint64_t flags);

    /* Called once for each successful map; what was stored is known to the attributes afterwards. NULL: ignored. */
    void(VRIFT_CALLBACK *unmap)(void *self, const struct vrift_node *node, const struct vrift_map_place *mapping);

    /*
     * Expected to call `receive` with this payload for each change that others make to what was handed out, from the
     * answer on that handed it out: under SHARED_NOTIFY for NAMES, for what became of a name and of the mode, owner and
     * group of what it means, if that is a directory (of others the core asks when it must); for ATTRIBUTES, with `node`.
     * Changes that come through the core may be told too. Called once, by vrift_sb_new() before `root`, if one of the
     * two is SHARED_NOTIFY; receive may not be called any more once `destroy` was. A change that is not told shows
     * programs what is long gone. NULL: SHARED_NOTIFY is taken as SHARED_REVALIDATE.
     */
    int32_t(VRIFT_CALLBACK *watch)(void *self, vrift_notice_fn receive, void *payload);

    /*
     * Expected to have told of everything that happened before the call when it returns. Called under SHARED_NOTIFY
     * before something is answered from the cache that was last known to be true more than max_age_ns ago, by one thread
     * at a time. NULL: `watch` alone sees to it that everything is told within max_age_ns.
     */
    void(VRIFT_CALLBACK *drain)(void *self);

    /*
     * Expected to answer, with a reference for the core, the open file that a symlink stands for: walks jump to what that
     * has open, whatever its names are, and reading the link tells its path. A backend with this slot has only such
     * links. NULL: symlinks are the text that readlink answers.
     */
    int32_t(VRIFT_CALLBACK *follow)(void *self, const struct vrift_node *node, vrift_file **out);

    /*
     * Expected to stamp the access time with the present and nothing else, and to answer the attributes after that: it
     * was read, and the core has found by the flags of mount and file that this is to be noted. NULL: the core notes
     * nothing; access times are what the backend says.
     */
    int32_t(VRIFT_CALLBACK *touch)(void *self, const struct vrift_node *node, struct vrift_stat *out);
};

VRIFT_BEGIN_DECLS

/**
 * The name of a capability, such as "hard-links".
 *
 * @param capability VRIFT_CAPABILITY_...
 * @return a constant string, or NULL for a number that this library does not know.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API const char *vrift_capability_name(uint32_t capability);

/**
 * The name of a consistency model, such as "immutable".
 *
 * @param model VRIFT_CONSISTENCY_...
 * @return a constant string, or NULL for a number that this library does not know.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API const char *vrift_consistency_name(uint32_t model);

VRIFT_END_DECLS

#endif
