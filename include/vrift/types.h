/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The nouns: opaque handles, attributes, digests, and the numbers of flags. All numbers are Linux's (x86-64). */
#ifndef VRIFT_TYPES_H
#define VRIFT_TYPES_H

#include <vrift/common.h>

typedef struct vrift_vfs vrift_vfs;             /* one instance of the file-system layer */
typedef struct vrift_sb vrift_sb;               /* a superblock: one backend instance */
typedef struct vrift_ns vrift_ns;               /* a namespace: one tree of mounts */
typedef struct vrift_task vrift_task;           /* who asks: namespace, root, cwd, umask, credentials, descriptors */
typedef struct vrift_cred vrift_cred;           /* uid, gids, capability bits; immutable */
typedef struct vrift_file vrift_file;           /* an open file description */
typedef struct vrift_store vrift_store;         /* a content-addressed store on disk */
typedef struct vrift_snapshot vrift_snapshot;   /* an immutable tree in a store */
typedef struct vrift_workspace vrift_workspace; /* a writable view of a snapshot */

/* Memory comes from here; malloc, realloc and free are called from any thread that calls the library. */
struct vrift_allocator {
    uint32_t size; /* sizeof(struct vrift_allocator) */
    uint32_t reserved;
    void *payload; /* handed to each function, last */
    void *(VRIFT_CALLBACK *malloc_fn)(size_t size, void *payload);
    void *(VRIFT_CALLBACK *realloc_fn)(void *pointer, size_t size, void *payload);
    void(VRIFT_CALLBACK *free_fn)(void *pointer, void *payload);
};

/* Seconds since 1970-01-01 UTC and nanoseconds forward from there: 0.5 s before 1970 is {-1, 500000000}. */
struct vrift_timespec {
    int64_t sec;
    uint32_t nsec;
    uint32_t reserved;
};

/* In the nsec field for vrift_utimensat(): the time of the call; leave as it is. */
#define VRIFT_UTIME_NOW  0x3fffffff
#define VRIFT_UTIME_OMIT 0x3ffffffe

/* The name of a content: which hash, and its 32 bytes. */
struct vrift_digest {
    uint32_t algorithm; /* VRIFT_DIGEST_... */
    uint8_t bytes[32];
};
#define VRIFT_DIGEST_NONE   0
#define VRIFT_DIGEST_BLAKE3 1
#define VRIFT_DIGEST_SHA256 2

/*
 * The attributes of an inode, after statx(2): fixed size, `mask` says which fields are valid, the others are zero.
 */
struct vrift_stat {
    uint64_t mask;             /* VRIFT_STAT_... */
    uint64_t dev;              /* number of the superblock within its vrift_vfs */
    uint64_t ino;              /* inode number within the superblock */
    uint64_t size;             /* bytes; a symlink's is the length of its target */
    uint64_t blocks;           /* of 512 bytes */
    uint64_t rdev;             /* of a device node: VRIFT_MKDEV(major, minor) */
    uint64_t mount_id;         /* of the mount through which it was reached */
    uint64_t version;          /* grows with each change of data or attributes */
    uint32_t mode;             /* type and permission bits */
    uint32_t nlink;            /* hard links */
    uint32_t uid;              /* owner */
    uint32_t gid;              /* group */
    uint32_t blksize;          /* preferred size of I/O, bytes */
    uint32_t digest_algorithm; /* of `digest` */
    struct vrift_timespec atime, mtime, ctime, btime;
    uint8_t digest[32];  /* of the content, where the backend knows it without reading */
    uint64_t attributes; /* VRIFT_ATTR_..., as statx's stx_attributes */
    uint64_t spare[8];   /* zero */
};
#define VRIFT_STAT_TYPE     0x0001ULL /* the type bits of mode */
#define VRIFT_STAT_MODE     0x0002ULL /* the permission bits of mode */
#define VRIFT_STAT_NLINK    0x0004ULL
#define VRIFT_STAT_UID      0x0008ULL
#define VRIFT_STAT_GID      0x0010ULL
#define VRIFT_STAT_ATIME    0x0020ULL
#define VRIFT_STAT_MTIME    0x0040ULL
#define VRIFT_STAT_CTIME    0x0080ULL
#define VRIFT_STAT_INO      0x0100ULL
#define VRIFT_STAT_SIZE     0x0200ULL
#define VRIFT_STAT_BLOCKS   0x0400ULL
#define VRIFT_STAT_BASIC    0x07ffULL /* all of the above */
#define VRIFT_STAT_BTIME    0x0800ULL
#define VRIFT_STAT_MOUNT_ID 0x1000ULL
#define VRIFT_STAT_VERSION  0x2000ULL
#define VRIFT_STAT_DIGEST   0x4000ULL
#define VRIFT_STAT_FLAGS    0x8000ULL  /* IMMUTABLE, APPEND, NODUMP and NOATIME of attributes */
#define VRIFT_STAT_RIGHTS   0x10000ULL /* ACL, DEFAULT_ACL and FILE_CAPS of attributes */
#define VRIFT_STAT_ALL      0x1ffffULL /* all of the above */

/* Bits of `attributes`. The first three are statx's, the others ours. */
#define VRIFT_ATTR_IMMUTABLE   0x10ULL      /* nothing about it may change */
#define VRIFT_ATTR_APPEND      0x20ULL      /* a file only grows; a directory only gains names */
#define VRIFT_ATTR_NODUMP      0x40ULL      /* no candidate for backups */
#define VRIFT_ATTR_NOATIME     0x80ULL      /* its access time stays */
#define VRIFT_ATTR_ACL         (1ULL << 32) /* has an access ACL: the mode does not tell all */
#define VRIFT_ATTR_DEFAULT_ACL (1ULL << 33) /* a directory with an ACL for what is made in it */
#define VRIFT_ATTR_FILE_CAPS   (1ULL << 34) /* has security.capability, which the core takes away where Linux does */

/* Flags of an inode, as chattr(1) sets them: the numbers of FS_IOC_SETFLAGS. */
#define VRIFT_FL_IMMUTABLE 0x10ULL
#define VRIFT_FL_APPEND    0x20ULL
#define VRIFT_FL_NODUMP    0x40ULL
#define VRIFT_FL_NOATIME   0x80ULL

#define VRIFT_MKDEV(major, minor) (((uint64_t)(major) << 32) | (uint32_t)(minor))
#define VRIFT_DEV_MAJOR(rdev)     ((uint32_t)((uint64_t)(rdev) >> 32))
#define VRIFT_DEV_MINOR(rdev)     ((uint32_t)(rdev))

/* A file system as a whole, after statfs(2). */
struct vrift_statfs {
    uint64_t type;     /* magic number of the kind */
    uint64_t bsize;    /* bytes a block */
    uint64_t blocks;   /* in all */
    uint64_t bfree;    /* free */
    uint64_t bavail;   /* free for the unprivileged */
    uint64_t files;    /* inodes in all, 0 if unbounded */
    uint64_t ffree;    /* inodes free */
    uint64_t namelen;  /* longest name, bytes */
    uint64_t flags;    /* VRIFT_MOUNT_... in effect */
    uint64_t fsid;     /* number of the superblock, as vrift_stat.dev */
    uint64_t spare[6]; /* zero */
};

/* One scatter or gather element. */
struct vrift_iovec {
    void *base;
    size_t length;
};

/*
 * One record of vrift_getdents(). The name follows the struct directly, NUL-terminated; vrift_dirent_name()
 * finds it, and vrift_dirent_stat() the attributes if there are any.
 */
struct vrift_dirent {
    uint64_t ino;
    uint64_t cookie;        /* seek here with vrift_lseek() to read what comes after this entry */
    uint16_t record_length; /* bytes to the next record */
    uint16_t name_length;   /* without the NUL */
    uint16_t type;          /* VRIFT_DT_... */
    uint16_t stat_offset;   /* of a struct vrift_stat within the record, bytes; 0: none */
};

/* Flags of vrift_getdents(). */
#define VRIFT_GETDENTS_STAT 1ULL /* attributes come with each entry */

/* File types in st_mode, permission bits, types of directory entries. */
#define VRIFT_S_IFMT   0170000
#define VRIFT_S_IFSOCK 0140000
#define VRIFT_S_IFLNK  0120000
#define VRIFT_S_IFREG  0100000
#define VRIFT_S_IFBLK  0060000
#define VRIFT_S_IFDIR  0040000
#define VRIFT_S_IFCHR  0020000
#define VRIFT_S_IFIFO  0010000
#define VRIFT_S_ISUID  04000
#define VRIFT_S_ISGID  02000
#define VRIFT_S_ISVTX  01000

#define VRIFT_DT_UNKNOWN 0
#define VRIFT_DT_FIFO    1
#define VRIFT_DT_CHR     2
#define VRIFT_DT_DIR     4
#define VRIFT_DT_BLK     6
#define VRIFT_DT_REG     8
#define VRIFT_DT_LNK     10
#define VRIFT_DT_SOCK    12

/* Flags of vrift_openat(). */
#define VRIFT_O_RDONLY    00000000ULL
#define VRIFT_O_WRONLY    00000001ULL
#define VRIFT_O_RDWR      00000002ULL
#define VRIFT_O_ACCMODE   00000003ULL
#define VRIFT_O_CREAT     00000100ULL
#define VRIFT_O_EXCL      00000200ULL
#define VRIFT_O_NOCTTY    00000400ULL
#define VRIFT_O_TRUNC     00001000ULL
#define VRIFT_O_APPEND    00002000ULL
#define VRIFT_O_NONBLOCK  00004000ULL
#define VRIFT_O_DSYNC     00010000ULL
#define VRIFT_O_DIRECTORY 00200000ULL
#define VRIFT_O_NOFOLLOW  00400000ULL
#define VRIFT_O_NOATIME   01000000ULL
#define VRIFT_O_CLOEXEC   02000000ULL
#define VRIFT_O_SYNC      04010000ULL
#define VRIFT_O_PATH      010000000ULL
#define VRIFT_O_TMPFILE   020200000ULL

/* In place of a directory descriptor: the task's current directory. */
#define VRIFT_AT_FDCWD (-100)

#define VRIFT_AT_SYMLINK_NOFOLLOW 0x100ULL
#define VRIFT_AT_REMOVEDIR        0x200ULL
#define VRIFT_AT_SYMLINK_FOLLOW   0x400ULL
#define VRIFT_AT_NO_AUTOMOUNT     0x800ULL /* of vrift_statxat(); there are no automounts */
#define VRIFT_AT_EMPTY_PATH       0x1000ULL
#define VRIFT_AT_OPATH            (1ULL << 32) /* ours: with EMPTY_PATH, a descriptor of VRIFT_O_PATH will do */
#define VRIFT_AT_STATX_FORCE_SYNC 0x2000ULL
#define VRIFT_AT_STATX_DONT_SYNC  0x4000ULL
#define VRIFT_AT_STATX_SYNC_TYPE  0x6000ULL

#define VRIFT_RENAME_NOREPLACE 1ULL
#define VRIFT_RENAME_EXCHANGE  2ULL
#define VRIFT_RENAME_WHITEOUT  4ULL

/* How vrift_openat2() may walk. */
#define VRIFT_RESOLVE_NO_XDEV       0x01ULL
#define VRIFT_RESOLVE_NO_MAGICLINKS 0x02ULL
#define VRIFT_RESOLVE_NO_SYMLINKS   0x04ULL
#define VRIFT_RESOLVE_BENEATH       0x08ULL
#define VRIFT_RESOLVE_IN_ROOT       0x10ULL
#define VRIFT_RESOLVE_CACHED        0x20ULL

/* What vrift_invalidate() forgets. */
#define VRIFT_INVALIDATE_NAMES      1ULL /* what names mean, and that there are none */
#define VRIFT_INVALIDATE_ATTRIBUTES 2ULL
#define VRIFT_INVALIDATE_DATA       4ULL /* which the core does not keep: this only tells watchers */
#define VRIFT_INVALIDATE_BELOW      8ULL /* not of the directory and its entries alone, but of everything below */

#define VRIFT_FD_CLOEXEC          1ULL /* of vrift_getfd() */
#define VRIFT_CLOSE_RANGE_CLOEXEC 4ULL /* of vrift_close_range() */

#define VRIFT_SEEK_SET  0
#define VRIFT_SEEK_CUR  1
#define VRIFT_SEEK_END  2
#define VRIFT_SEEK_DATA 3
#define VRIFT_SEEK_HOLE 4

/* How vrift_fallocate() changes the space of a file. ALLOCATE, with none of the others, is 0. */
#define VRIFT_FALLOC_KEEP_SIZE      0x01ULL
#define VRIFT_FALLOC_PUNCH_HOLE     0x02ULL
#define VRIFT_FALLOC_COLLAPSE_RANGE 0x08ULL
#define VRIFT_FALLOC_ZERO_RANGE     0x10ULL
#define VRIFT_FALLOC_INSERT_RANGE   0x20ULL
#define VRIFT_FALLOC_UNSHARE_RANGE  0x40ULL
#define VRIFT_FALLOC_WRITE_ZEROES   0x80ULL

/* Of vrift_copy_file_range(), beyond Linux: share the blocks, as FICLONERANGE does, or fail. */
#define VRIFT_COPY_CLONE 1ULL

/* Of vrift_map(). */
#define VRIFT_PROT_NONE  0ULL
#define VRIFT_PROT_READ  1ULL
#define VRIFT_PROT_WRITE 2ULL
#define VRIFT_PROT_EXEC  4ULL

#define VRIFT_MAP_SHARED  1ULL
#define VRIFT_MAP_PRIVATE 2ULL

#define VRIFT_MS_ASYNC      1ULL
#define VRIFT_MS_INVALIDATE 2ULL
#define VRIFT_MS_SYNC       4ULL

#define VRIFT_XATTR_CREATE  1ULL
#define VRIFT_XATTR_REPLACE 2ULL

/*
 * Flags of a mount. libvrift executes nothing: NOSUID is only recorded, for embedders to read back from vrift_statfs(),
 * and NOEXEC shows in vrift_faccessat() alone. NODEV makes opening a device node answer -VRIFT_EACCES. A mount for which
 * neither NOATIME nor STRICTATIME is asked has RELATIME.
 */
#define VRIFT_MOUNT_RDONLY      0x0001ULL
#define VRIFT_MOUNT_NOSUID      0x0002ULL
#define VRIFT_MOUNT_NODEV       0x0004ULL
#define VRIFT_MOUNT_NOEXEC      0x0008ULL
#define VRIFT_MOUNT_NOSYMFOLLOW 0x0100ULL
#define VRIFT_MOUNT_NOATIME     0x0400ULL   /* reading stamps no access time */
#define VRIFT_MOUNT_NODIRATIME  0x0800ULL   /* likewise, of directories */
#define VRIFT_MOUNT_RELATIME    0x200000ULL /* only where it would not be later than the last change, or is a day old */
#define VRIFT_MOUNT_STRICTATIME 0x1000000ULL /* always; shown as the absence of both */
#define VRIFT_MOUNT_ATIME       (VRIFT_MOUNT_NOATIME | VRIFT_MOUNT_RELATIME | VRIFT_MOUNT_STRICTATIME)

/* Capability bits of credentials: bit n is Linux's capability n. */
#define VRIFT_CAP_CHOWN           (1ULL << 0)
#define VRIFT_CAP_DAC_OVERRIDE    (1ULL << 1)
#define VRIFT_CAP_DAC_READ_SEARCH (1ULL << 2)
#define VRIFT_CAP_FOWNER          (1ULL << 3)
#define VRIFT_CAP_FSETID          (1ULL << 4)
#define VRIFT_CAP_LINUX_IMMUTABLE (1ULL << 9)
#define VRIFT_CAP_SYS_CHROOT      (1ULL << 18)
#define VRIFT_CAP_SYS_ADMIN       (1ULL << 21)
#define VRIFT_CAP_MKNOD           (1ULL << 27)
#define VRIFT_CAP_SETFCAP         (1ULL << 31)
#define VRIFT_CAP_ALL             ((1ULL << 41) - 1)

#define VRIFT_NAME_MAX 255  /* longest name, bytes */
#define VRIFT_PATH_MAX 4096 /* longest path with its NUL, bytes */

#endif
