/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Makes questions by chance, and prints them. */
#include "permission/perm_test.h"

const char *const perm_paths[] = {".",   "a",   "b",     "c",     "a/a",   "a/b",   "b/a",
                                  "b/b", "c/a", "a/a/a", "a/b/b", "b/a/a", "b/b/a", NULL};
#define PATHS 13u

uint32_t perm_below(struct perm_random *random, uint32_t n)
{
    random->state += 0x9e3779b97f4a7c15ULL;
    uint64_t z = random->state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return (uint32_t)((z ^ (z >> 31)) % n);
}

static bool one_in(struct perm_random *random, uint32_t n)
{
    return perm_below(random, n) == 0;
}

#define PICK(random, array) (array)[perm_below((random), sizeof(array) / sizeof *(array))]

static const uint32_t ids[] = {0, 1000, 1001, 1002};

static uint64_t make_capabilities(struct perm_random *random)
{
    static const uint64_t all[] = {VRIFT_CAP_CHOWN,           VRIFT_CAP_DAC_OVERRIDE, VRIFT_CAP_DAC_READ_SEARCH,
                                   VRIFT_CAP_FOWNER,          VRIFT_CAP_FSETID,       VRIFT_CAP_SYS_ADMIN,
                                   VRIFT_CAP_LINUX_IMMUTABLE, VRIFT_CAP_MKNOD,        VRIFT_CAP_SETFCAP};
    uint64_t capabilities = 0;
    switch (perm_below(random, 8)) {
    case 0:
        return VRIFT_CAP_ALL;
    case 1:
    case 2:
        for (uint32_t i = 0; i < sizeof all / sizeof *all; i++)
            capabilities |= one_in(random, 2) ? all[i] : 0;
        return capabilities;
    case 3:
        return PICK(random, all);
    default:
        return 0;
    }
}

static void make_who(struct perm_random *random, bool first, struct perm_who *who)
{
    who->uid = first ? 0 : PICK(random, ids);
    who->gid = first ? 0 : PICK(random, ids);
    who->group_count = first ? 0 : perm_below(random, PERM_GROUPS + 1);
    for (uint32_t i = 0; i < who->group_count; i++)
        who->groups[i] = PICK(random, ids);
    who->capabilities = first ? VRIFT_CAP_ALL : make_capabilities(random);
}

static uint32_t make_mode(struct perm_random *random)
{
    static const uint32_t common[] = {0777, 0755,  0775,  0770,  0700,  0644,  0666,
                                      0664, 01777, 02775, 02777, 06755, 04711, 03775};
    return one_in(random, 3) ? perm_below(random, 010000) : PICK(random, common);
}

/* -- ACLs ---------------------------------------------------------------------------------------------------------- */

static void put_entry(struct perm_question *q, uint32_t tag, uint32_t rights, uint32_t id)
{
    uint8_t *p = q->value + q->value_length;
    const uint8_t bytes[] = {(uint8_t)tag, (uint8_t)(tag >> 8), (uint8_t)rights,     (uint8_t)(rights >> 8),
                             (uint8_t)id,  (uint8_t)(id >> 8),  (uint8_t)(id >> 16), (uint8_t)(id >> 24)};
    memcpy(p, bytes, sizeof bytes);
    q->value_length += sizeof bytes;
}

static void make_acl(struct perm_random *random, struct perm_question *q)
{
    const uint32_t none = 0xffffffffu;
    uint32_t users = perm_below(random, 3), groups = perm_below(random, 3);
    memcpy(q->value, "\2\0\0\0", 4);
    q->value_length = 4;
    put_entry(q, 0x01, one_in(random, 3) ? perm_below(random, 8) : 7, none);
    for (uint32_t i = 0; i < users; i++)
        put_entry(q, 0x02, perm_below(random, 8), PICK(random, ids));
    put_entry(q, 0x04, perm_below(random, 8), none);
    for (uint32_t i = 0; i < groups; i++)
        put_entry(q, 0x08, perm_below(random, 8), PICK(random, ids));
    if (users || groups || one_in(random, 2))
        put_entry(q, 0x10, one_in(random, 2) ? 7 : perm_below(random, 8), none);
    put_entry(q, 0x20, perm_below(random, 8), none);
    switch (perm_below(random, 24)) { /* and what is none */
    case 0:
        q->value[perm_below(random, q->value_length)] ^= (uint8_t)(1u << perm_below(random, 8));
        break;
    case 1:
        q->value_length -= perm_below(random, 12);
        break;
    case 2:
        q->value_length = 4;
        break;
    case 3:
        q->value_length = 0;
        break;
    default:
        break;
    }
}

/* -- Xattrs -------------------------------------------------------------------------------------------------------- */

static void make_name(struct perm_random *random, struct perm_question *q)
{
    static const char *const names[] = {"user.x",
                                        "user.y",
                                        "user.x",
                                        "user.",
                                        "trusted.x",
                                        "trusted.",
                                        "security.x",
                                        "security.capability",
                                        "security.capability",
                                        "system.x",
                                        "system.posix_acl_access",
                                        "system.posix_acl_default",
                                        "system.posix_acl_access",
                                        "system.posix_acl_default",
                                        "other.x",
                                        "x",
                                        ""};
    strcpy(q->name, PICK(random, names));
}

static void make_value(struct perm_random *random, struct perm_question *q)
{
    static const uint8_t caps[24] = {1, 0, 0, 2, 0xff};
    if (strncmp(q->name, "system.posix", 12) == 0) {
        make_acl(random, q);
        return;
    }
    if (strcmp(q->name, "security.capability") == 0 && !one_in(random, 8)) {
        memcpy(q->value, caps, sizeof caps);
        q->value_length = 20;
        if (one_in(random, 3)) {
            q->value[3] = 3;
            q->value[20] = (uint8_t)perm_below(random, 2);
            q->value_length = 24;
        }
        return;
    }
    q->value_length = perm_below(random, 9);
    memset(q->value, 'v', q->value_length);
}

/* -- The rest ------------------------------------------------------------------------------------------------------ */

static uint64_t make_open_flags(struct perm_random *random)
{
    static const uint64_t more[] = {VRIFT_O_CREAT, VRIFT_O_CREAT,    VRIFT_O_TRUNC,   VRIFT_O_APPEND, VRIFT_O_DIRECTORY,
                                    VRIFT_O_EXCL,  VRIFT_O_NOFOLLOW, VRIFT_O_NOATIME, VRIFT_O_PATH};
    uint64_t flags = perm_below(random, 3);
    for (uint32_t i = perm_below(random, 4); i > 0; i--)
        flags |= PICK(random, more);
    return flags;
}

static enum perm_call make_call(struct perm_random *random, bool first)
{
    static const enum perm_call makers[] = {PERM_MKDIR, PERM_MKDIR,   PERM_MKDIR,    PERM_OPEN,     PERM_OPEN,
                                            PERM_MKNOD, PERM_SYMLINK, PERM_LINK,     PERM_CHMOD,    PERM_CHMOD,
                                            PERM_CHOWN, PERM_CHOWN,   PERM_SETXATTR, PERM_SETXATTR, PERM_SETFLAGS};
    enum perm_call call = (enum perm_call)perm_below(random, PERM_CALLS);
    if (first)
        return PICK(random, makers);
    if ((call == PERM_UNLINK || call == PERM_RMDIR || call == PERM_RENAME) && one_in(random, 2))
        return PERM_ACCESS; /* or little would be left to ask about */
    return call;
}

static void make_arguments(struct perm_random *random, bool first, struct perm_question *q)
{
    static const uint64_t renames[] = {0, 0, 0, VRIFT_RENAME_NOREPLACE, VRIFT_RENAME_EXCHANGE};
    static const uint64_t allocations[] = {0, 1, 3};
    static const uint32_t kinds[] = {VRIFT_S_IFREG, VRIFT_S_IFIFO, VRIFT_S_IFSOCK, VRIFT_S_IFCHR, VRIFT_S_IFBLK};
    switch (q->call) {
    case PERM_OPEN:
        q->flags = first ? VRIFT_O_CREAT | VRIFT_O_RDWR : make_open_flags(random);
        break;
    case PERM_WRITE:
    case PERM_FTRUNCATE:
        q->flags = VRIFT_O_WRONLY | (one_in(random, 2) ? VRIFT_O_APPEND : 0);
        q->length = perm_below(random, 3);
        break;
    case PERM_FALLOCATE:
        q->flags = VRIFT_O_WRONLY | (one_in(random, 2) ? VRIFT_O_APPEND : 0);
        q->length = PICK(random, allocations);
        break;
    case PERM_MKNOD:
        q->mode = (q->mode & 07777) | PICK(random, kinds);
        break;
    case PERM_LINK:
        q->flags = one_in(random, 2) ? VRIFT_AT_SYMLINK_FOLLOW : 0;
        break;
    case PERM_RENAME:
        q->flags = PICK(random, renames);
        break;
    case PERM_CHOWN:
        q->uid = one_in(random, 3) ? 0xffffffffu : PICK(random, ids);
        q->gid = one_in(random, 3) ? 0xffffffffu : PICK(random, ids);
        q->flags = one_in(random, 3) ? VRIFT_AT_SYMLINK_NOFOLLOW : 0;
        break;
    case PERM_UTIMES: /* the kind of each time: the present, none, another */
        q->mode = perm_below(random, 10);
        break;
    case PERM_ACCESS:
        q->mode = perm_below(random, 8);
        break;
    case PERM_SETXATTR:
    case PERM_FSETXATTR:
        q->flags = one_in(random, 3) ? 1 + perm_below(random, 2) : 0;
        make_name(random, q);
        make_value(random, q);
        break;
    case PERM_GETXATTR:
    case PERM_REMOVEXATTR:
        make_name(random, q);
        q->length = one_in(random, 8) ? perm_below(random, 8) : one_in(random, 4) ? 0 : 256;
        break;
    case PERM_LISTXATTR:
        q->length = one_in(random, 8) ? perm_below(random, 16) : one_in(random, 4) ? 0 : 1024;
        break;
    case PERM_SETFL:
        q->flags = perm_below(random, 2) | (one_in(random, 2) ? VRIFT_O_APPEND : 0);
        q->length = (one_in(random, 2) ? VRIFT_O_APPEND : 0) | (one_in(random, 2) ? VRIFT_O_NOATIME : 0);
        break;
    case PERM_SETFLAGS: /* mostly none, or nothing could be done any more */
        q->flags = one_in(random, 2) ? 0 : perm_below(random, 16) << 4;
        if (one_in(random, 16))
            q->flags |= 1;
        break;
    default:
        break;
    }
}

void perm_make_question(struct perm_random *random, bool first, struct perm_question *out)
{
    static const uint32_t masks[] = {0, 022, 077, 027};
    memset(out, 0, sizeof *out);
    out->call = make_call(random, first);
    make_who(random, first, &out->who);
    out->umask = PICK(random, masks);
    out->mode = make_mode(random);
    strcpy(out->path, perm_paths[perm_below(random, first ? 1 + perm_below(random, PATHS) : PATHS)]);
    strcpy(out->other, perm_paths[perm_below(random, PATHS)]);
    make_arguments(random, first, out);
}

/* -- Printing ------------------------------------------------------------------------------------------------------ */

const char *const perm_call_names[PERM_CALLS] = {
    "open",   "write",    "ftruncate", "fallocate",   "tmpfile",   "mkdir",     "mknod",    "symlink",  "link",
    "unlink", "rmdir",    "rename",    "chmod",       "chown",     "utimes",    "truncate", "access",   "chdir",
    "chroot", "setxattr", "getxattr",  "removexattr", "listxattr", "fsetxattr", "setflags", "getflags", "setfl"};

void perm_print_question(const struct perm_question *q)
{
    print_error("%s(\"%s\", other \"%s\", flags %#llx, mode %#o, uid %d, gid %d, length %llu", perm_call_names[q->call],
                q->path, q->other, (unsigned long long)q->flags, q->mode, (int)q->uid, (int)q->gid,
                (unsigned long long)q->length);
    if (*q->name) {
        print_error(", \"%s\" = ", q->name);
        for (uint32_t i = 0; i < q->value_length; i++)
            print_error("%02x%s", q->value[i], i % 8 == 3 ? " " : "");
    }
    print_error(") by uid %u gid %u (", q->who.uid, q->who.gid);
    for (uint32_t i = 0; i < q->who.group_count; i++)
        print_error("%s%u", i ? " " : "", q->who.groups[i]);
    print_error(") capabilities %#llx umask %03o\n", (unsigned long long)q->who.capabilities, q->umask);
}
