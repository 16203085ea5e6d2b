/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The overlay over layers in memory: what the kernel cannot be asked, and what it would not tell. */
#include "support/check.h"

#include <vrift/vrift.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define AT VRIFT_AT_FDCWD

#if defined(__SANITIZE_THREAD__)
/* As in support/world.c: renames change the order in which directories are locked. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "detect_deadlocks=0";
}
#endif

/* Two lower layers and an upper, each a memory file system, and a task in the overlay. */
struct stack {
    vrift_vfs *vfs;
    vrift_sb *low[2], *up, *overlay;
    vrift_task *below[2], *upper, *task;
    _Atomic int64_t left; /* allocations before memory runs out */
    _Atomic int64_t alive;
};

static void *VRIFT_CALLBACK take_memory(size_t size, void *payload)
{
    struct stack *stack = payload;
    if (stack->left-- <= 0) {
        return NULL;
    }
    stack->alive++;
    return malloc(size);
}

static void *VRIFT_CALLBACK resize_memory(void *pointer, size_t size, void *payload)
{
    struct stack *stack = payload;
    if (stack->left-- <= 0) {
        return NULL;
    }
    stack->alive += pointer ? 0 : 1;
    return realloc(pointer, size);
}

static void VRIFT_CALLBACK give_memory(void *pointer, void *payload)
{
    struct stack *stack = payload;
    stack->alive -= pointer ? 1 : 0;
    free(pointer);
}

static vrift_task *task_on(vrift_vfs *vfs, vrift_sb *sb)
{
    vrift_ns *ns;
    vrift_task *task;
    check_ok(vrift_ns_new(vfs, sb, 0, &ns));
    check_ok(vrift_task_new(ns, NULL, NULL, &task));
    vrift_ns_unref(ns);
    return task;
}

static void put(vrift_task *task, const char *path, const char *text)
{
    int32_t fd = (int32_t)check_ok(vrift_openat(task, AT, path, VRIFT_O_WRONLY | VRIFT_O_CREAT | VRIFT_O_TRUNC, 0644));
    assert_int_equal(check_ok(vrift_write(task, fd, text, strlen(text))), strlen(text));
    check_ok(vrift_close(task, fd));
}

static void expect(vrift_task *task, const char *path, const char *text)
{
    char buffer[256];
    int32_t fd = (int32_t)check_ok(vrift_openat(task, AT, path, VRIFT_O_RDONLY, 0));
    int64_t got = check_ok(vrift_read(task, fd, buffer, sizeof(buffer) - 1));
    buffer[got] = '\0';
    check_ok(vrift_close(task, fd));
    assert_string_equal(buffer, text);
}

static struct vrift_stat stat_of(vrift_task *task, const char *path)
{
    struct vrift_stat stat;
    check_ok(vrift_statat(task, AT, path, VRIFT_AT_SYMLINK_NOFOLLOW, &stat));
    return stat;
}

static void put_on(struct stack *stack, uint64_t flags, bool writable)
{
    struct vrift_overlay_layer lower[2] = {{stack->low[0], NULL}, {stack->low[1], "/"}}, upper = {stack->up, "/upper"};
    struct vrift_overlay_options options = {
        .size = sizeof(options), .lower_count = 2, .lower = lower, .upper = writable ? &upper : NULL, .flags = flags};
    options.work = writable ? "/work" : NULL;
    check_ok(vrift_overlay_new(stack->vfs, &options, &stack->overlay));
    stack->task = task_on(stack->vfs, stack->overlay);
}

static void take_off(struct stack *stack)
{
    vrift_task_free(stack->task);
    vrift_sb_unref(stack->overlay);
    stack->task = NULL;
    stack->overlay = NULL;
}

static int make_stack(void **state)
{
    struct stack *stack = calloc(1, sizeof(*stack));
    struct vrift_allocator allocator = {.size = sizeof(allocator),
                                        .payload = stack,
                                        .malloc_fn = take_memory,
                                        .realloc_fn = resize_memory,
                                        .free_fn = give_memory};
    struct vrift_vfs_options options = {.size = sizeof(options), .allocator = &allocator};
    stack->left = INT64_MAX;
    check_ok(vrift_vfs_new(&options, &stack->vfs));
    check_ok(vrift_mem_new(stack->vfs, NULL, &stack->up));
    stack->upper = task_on(stack->vfs, stack->up);
    check_ok(vrift_mkdirat(stack->upper, AT, "/upper", 0755));
    check_ok(vrift_mkdirat(stack->upper, AT, "/work", 0755));
    for (int i = 0; i < 2; i++) {
        check_ok(vrift_mem_new(stack->vfs, NULL, &stack->low[i]));
        stack->below[i] = task_on(stack->vfs, stack->low[i]);
        check_ok(vrift_mkdirat(stack->below[i], AT, "/d", 0755));
        put(stack->below[i], i ? "/d/one" : "/d/zero", i ? "1" : "0");
        put(stack->below[i], "/both", i ? "below" : "above");
    }
    put(stack->below[1], "/f", "low");
    *state = stack;
    return 0;
}

static int drop_stack(void **state)
{
    struct stack *stack = *state;
    if (stack->task) {
        take_off(stack);
    }
    vrift_task_free(stack->upper);
    vrift_sb_unref(stack->up);
    for (int i = 0; i < 2; i++) {
        vrift_task_free(stack->below[i]);
        vrift_sb_unref(stack->low[i]);
    }
    vrift_vfs_free(stack->vfs);
    int64_t alive = stack->alive;
    free(stack);
    return alive == 0 ? 0 : 1; /* all memory came back */
}

/* -- What it says of itself --------------------------------------------------------------------------------------- */

static void bad_options_are_refused(void **state)
{
    struct stack *stack = *state;
    struct vrift_overlay_layer lower = {stack->low[0], NULL}, upper = {stack->up, "/upper"}, gone = {stack->up, "/x"};
    struct vrift_overlay_options none = {.size = sizeof(none)};
    struct vrift_overlay_options no_work = {.size = sizeof(none), .lower_count = 1, .lower = &lower, .upper = &upper};
    struct vrift_overlay_options flags = {.size = sizeof(none), .lower_count = 1, .lower = &lower, .flags = 4};
    struct vrift_overlay_options absent = {.size = sizeof(none), .lower_count = 1, .lower = &gone};
    struct vrift_overlay_options work = no_work;
    vrift_sb *sb;
    work.work = "/nowhere";
    check_error(-VRIFT_EINVAL, vrift_overlay_new(stack->vfs, NULL, &sb));
    check_error(-VRIFT_EINVAL, vrift_overlay_new(stack->vfs, &none, &sb));
    check_error(-VRIFT_EINVAL, vrift_overlay_new(stack->vfs, &no_work, &sb));
    check_error(-VRIFT_EINVAL, vrift_overlay_new(stack->vfs, &flags, &sb));
    check_error(-VRIFT_ENOENT, vrift_overlay_new(stack->vfs, &absent, &sb));
    check_error(-VRIFT_ENOENT, vrift_overlay_new(stack->vfs, &work, &sb));
}

static void it_tells_its_kind_depth_and_consistency(void **state)
{
    struct stack *stack = *state;
    struct vrift_statfs statfs;
    struct vrift_consistency consistency;
    put_on(stack, 0, true);
    check_ok(vrift_statfs(stack->task, AT, "/", &statfs));
    assert_int_equal(statfs.type, 0x794c7630);
    assert_int_equal(vrift_sb_depth(stack->overlay), 1);
    check_ok(vrift_sb_consistency(stack->overlay, VRIFT_ASPECT_NAMES, &consistency));
    assert_int_equal(consistency.model, VRIFT_CONSISTENCY_EXCLUSIVE);
}

static void without_an_upper_it_is_read_only(void **state)
{
    struct stack *stack = *state;
    put_on(stack, 0, false);
    expect(stack->task, "/both", "above");
    expect(stack->task, "/d/one", "1");
    check_error(-VRIFT_EROFS, vrift_mkdirat(stack->task, AT, "/new", 0755));
    check_error(-VRIFT_EROFS, vrift_openat(stack->task, AT, "/f", VRIFT_O_WRONLY, 0));
    check_error(-VRIFT_EROFS, vrift_fchmodat(stack->task, AT, "/f", 0600, 0));
    check_error(-VRIFT_EROFS, vrift_unlinkat(stack->task, AT, "/f", 0));
    check_error(-VRIFT_EROFS, vrift_renameat2(stack->task, AT, "/f", AT, "/g", 0));
}

static void marks_that_it_cannot_follow_are_refused(void **state)
{
    struct stack *stack = *state;
    check_ok(vrift_setxattrat(stack->below[0], AT, "/both", "trusted.overlay.metacopy", "", 0, 0));
    check_ok(vrift_setxattrat(stack->below[0], AT, "/d", "trusted.overlay.redirect", "/e", 2, 0));
    put_on(stack, 0, true);
    struct vrift_stat stat;
    check_error(-VRIFT_EOPNOTSUPP, vrift_statat(stack->task, AT, "/both", 0, &stat));
    check_error(-VRIFT_EOPNOTSUPP, vrift_statat(stack->task, AT, "/d", 0, &stat));
    expect(stack->task, "/f", "low");
}

static void userxattr_keeps_its_marks_in_the_user_namespace(void **state)
{
    struct stack *stack = *state;
    char value[4];
    put_on(stack, VRIFT_OVERLAY_USERXATTR, true);
    check_ok(vrift_unlinkat(stack->task, AT, "/f", 0));
    check_ok(vrift_mkdirat(stack->task, AT, "/f", 0755));
    assert_int_equal(vrift_getxattrat(stack->upper, AT, "/upper/f", "user.overlay.opaque", value, 4, 0), 1);
    check_error(-VRIFT_ENODATA, vrift_getxattrat(stack->upper, AT, "/upper/f", "trusted.overlay.opaque", value, 4, 0));
    assert_int_equal(vrift_listxattrat(stack->task, AT, "/f", NULL, 0, 0), 0);
}

/* -- Identity ----------------------------------------------------------------------------------------------------- */

static uint64_t listed_ino(vrift_task *task, const char *path, const char *name)
{
    uint64_t buffer[512], found = 0;
    int32_t fd = (int32_t)check_ok(vrift_openat(task, AT, path, VRIFT_O_RDONLY | VRIFT_O_DIRECTORY, 0));
    int64_t got = check_ok(vrift_getdents(task, fd, buffer, sizeof(buffer), 0));
    for (int64_t at = 0; at < got;) {
        const struct vrift_dirent *entry = (const void *)((const char *)buffer + at);
        if (!strcmp(vrift_dirent_name(entry), name)) {
            found = entry->ino;
        }
        at += entry->record_length;
    }
    check_ok(vrift_close(task, fd));
    return found;
}

static void an_inode_number_survives_copy_up_rename_and_forgetting(void **state)
{
    struct stack *stack = *state;
    put_on(stack, 0, true);
    uint64_t file = stat_of(stack->task, "/f").ino, dir = stat_of(stack->task, "/d").ino;
    uint64_t one = stat_of(stack->task, "/d/one").ino;
    check_ok(vrift_fchmodat(stack->task, AT, "/f", 0600, 0));
    put(stack->task, "/d/one", "changed");
    assert_int_equal(stat_of(stack->task, "/f").ino, file);
    assert_int_equal(stat_of(stack->task, "/d").ino, dir);
    check_ok(vrift_renameat2(stack->task, AT, "/f", AT, "/d/g", 0));
    check_ok(vrift_vfs_drop_caches(stack->vfs));
    assert_int_equal(stat_of(stack->task, "/d/g").ino, file);
    assert_int_equal(listed_ino(stack->task, "/d", "g"), file);
    assert_int_equal(stat_of(stack->task, "/d").ino, dir);
    assert_int_equal(listed_ino(stack->task, "/", "d"), dir);
    assert_int_equal(stat_of(stack->task, "/d/one").ino, one);
}

static void numbers_of_different_layers_do_not_collide(void **state)
{
    struct stack *stack = *state;
    put_on(stack, 0, true);
    put(stack->task, "/new", "x");
    const char *paths[] = {"/", "/d", "/d/one", "/d/zero", "/f", "/both", "/new"};
    for (size_t i = 0; i < 7; i++) {
        for (size_t k = 0; k < i; k++) {
            assert_int_not_equal(stat_of(stack->task, paths[i]).ino, stat_of(stack->task, paths[k]).ino);
        }
    }
}

static void an_open_file_survives_its_last_name_and_a_copy_up_after_it(void **state)
{
    struct stack *stack = *state;
    struct vrift_stat stat;
    char buffer[8] = "";
    put_on(stack, 0, true);
    int32_t fd = (int32_t)check_ok(vrift_openat(stack->task, AT, "/f", VRIFT_O_RDONLY, 0));
    check_ok(vrift_unlinkat(stack->task, AT, "/f", 0));
    check_ok(vrift_fstat(stack->task, fd, &stat));
    assert_int_equal(stat.nlink, 0);
    check_ok(vrift_fchmodat(stack->task, fd, "", 0600, VRIFT_AT_EMPTY_PATH));
    assert_int_equal(check_ok(vrift_pread(stack->task, fd, buffer, 8, 0)), 3);
    assert_string_equal(buffer, "low");
    check_error(-VRIFT_ENOENT, vrift_statat(stack->task, AT, "/f", 0, &stat));
    check_ok(vrift_close(stack->task, fd));
    assert_int_equal(stat_of(stack->upper, "/upper/f").rdev, 0);
}

/* Who has locked the lower file and who opens the copy mean the same inode. */
static void locks_hold_over_a_copy_up(void **state)
{
    struct stack *stack = *state;
    struct vrift_lock lock = {.size = sizeof(lock), .type = VRIFT_F_RDLCK};
    put(stack->below[0], "/locked", "low");
    put_on(stack, 0, true);
    int32_t reader = (int32_t)check_ok(vrift_openat(stack->task, AT, "/locked", VRIFT_O_RDONLY, 0));
    check_ok(vrift_flock(stack->task, reader, VRIFT_LOCK_EX, NULL));
    check_ok(vrift_setlk(stack->task, reader, VRIFT_SETLK_OFD, &lock, NULL));
    put(stack->task, "/locked", "up");
    int32_t writer = (int32_t)check_ok(vrift_openat(stack->task, AT, "/locked", VRIFT_O_RDWR, 0));
    lock.type = VRIFT_F_WRLCK;
    check_error(-VRIFT_EAGAIN, vrift_flock(stack->task, writer, VRIFT_LOCK_SH | VRIFT_LOCK_NB, NULL));
    check_error(-VRIFT_EAGAIN, vrift_setlk(stack->task, writer, VRIFT_SETLK_OFD, &lock, NULL));
    check_ok(vrift_close(stack->task, reader));
    check_ok(vrift_flock(stack->task, writer, VRIFT_LOCK_EX | VRIFT_LOCK_NB, NULL));
    check_ok(vrift_setlk(stack->task, writer, VRIFT_SETLK_OFD, &lock, NULL));
    check_ok(vrift_close(stack->task, writer));
    take_off(stack);
}

static void a_nameless_file_can_be_linked(void **state)
{
    struct stack *stack = *state;
    put_on(stack, 0, true);
    int32_t fd = (int32_t)check_ok(vrift_openat(stack->task, AT, "/d", VRIFT_O_TMPFILE | VRIFT_O_RDWR, 0640));
    check_ok(vrift_write(stack->task, fd, "tmp", 3));
    check_ok(vrift_linkat(stack->task, fd, "", AT, "/d/named", VRIFT_AT_EMPTY_PATH));
    check_ok(vrift_close(stack->task, fd));
    expect(stack->task, "/d/named", "tmp");
}

static void an_overlay_can_be_a_layer(void **state)
{
    struct stack *stack = *state;
    put_on(stack, 0, true);
    vrift_sb *top_mem, *top;
    check_ok(vrift_mem_new(stack->vfs, NULL, &top_mem));
    vrift_task *bare = task_on(stack->vfs, top_mem);
    check_ok(vrift_mkdirat(bare, AT, "/u", 0755));
    check_ok(vrift_mkdirat(bare, AT, "/w", 0755));
    struct vrift_overlay_layer lower = {stack->overlay, NULL}, upper = {top_mem, "/u"};
    struct vrift_overlay_options options = {
        .size = sizeof(options), .lower_count = 1, .lower = &lower, .upper = &upper, .work = "/w"};
    check_ok(vrift_overlay_new(stack->vfs, &options, &top));
    assert_int_equal(vrift_sb_depth(top), 2);
    vrift_task *task = task_on(stack->vfs, top);
    expect(task, "/d/one", "1");
    check_ok(vrift_unlinkat(task, AT, "/d/one", 0));
    put(task, "/d/zero", "top");
    expect(task, "/d/zero", "top");
    expect(stack->task, "/d/zero", "0");
    expect(stack->task, "/d/one", "1");
    vrift_task_free(task);
    vrift_task_free(bare);
    vrift_sb_unref(top);
    vrift_sb_unref(top_mem);
}

/* -- Listings ----------------------------------------------------------------------------------------------------- */

static void a_scan_shows_what_stays_exactly_once(void **state)
{
    struct stack *stack = *state;
    char path[64];
    unsigned seen[400] = {0}, temporary = 0;
    for (unsigned i = 0; i < 400; i++) {
        snprintf(path, sizeof(path), "/d/n%03u", i);
        put(stack->below[i % 2], path, "x");
    }
    put_on(stack, 0, true);
    int32_t fd = (int32_t)check_ok(vrift_openat(stack->task, AT, "/d", VRIFT_O_RDONLY | VRIFT_O_DIRECTORY, 0));
    uint64_t buffer[64];
    for (int64_t got; (got = check_ok(vrift_getdents(stack->task, fd, buffer, sizeof(buffer), 0))) > 0;) {
        unsigned number;
        for (int64_t at = 0; at < got;) {
            const struct vrift_dirent *entry = (const void *)((const char *)buffer + at);
            if (sscanf(vrift_dirent_name(entry), "n%u", &number) == 1) {
                seen[number]++;
            }
            at += entry->record_length;
        }
        /* Meanwhile others come and go: every name that is a multiple of 7 goes, new ones appear and vanish. */
        snprintf(path, sizeof(path), "/d/n%03u", temporary * 7 % 400);
        if (temporary * 7 < 400) {
            check_ok(vrift_unlinkat(stack->task, AT, path, 0));
        }
        snprintf(path, sizeof(path), "/d/t%u", temporary++);
        put(stack->task, path, "t");
        check_ok(vrift_unlinkat(stack->task, AT, path, 0));
    }
    for (unsigned i = 0; i < 400; i++) {
        assert_true(i % 7 ? seen[i] == 1 : seen[i] <= 1);
    }
    check_ok(vrift_close(stack->task, fd));
}

/* -- Trouble ------------------------------------------------------------------------------------------------------ */

/* A walk over everything the overlay can do; errors are allowed, wrong contents are not. */
static void use_all(struct stack *stack)
{
    vrift_task *task = stack->task;
    struct vrift_stat stat;
    uint64_t buffer[512];
    char text[16];
    int32_t fd = vrift_openat(task, AT, "/f", VRIFT_O_RDWR, 0);
    if (fd >= 0) {
        vrift_pwrite(task, fd, "LOW", 3, 0);
        vrift_pread(task, fd, text, 3, 0);
        vrift_close(task, fd);
    }
    vrift_statat(task, AT, "/d/one", 0, &stat);
    vrift_unlinkat(task, AT, "/d/one", 0);
    vrift_mkdirat(task, AT, "/d/one", 0755);
    vrift_renameat2(task, AT, "/both", AT, "/d/moved", 0);
    vrift_linkat(task, AT, "/d/zero", AT, "/linked", 0);
    vrift_setxattrat(task, AT, "/d/zero", "user.x", "y", 1, 0);
    vrift_symlinkat(task, "t", AT, "/d/one/s");
    fd = vrift_openat(task, AT, "/d", VRIFT_O_RDONLY, 0);
    if (fd >= 0) {
        vrift_getdents(task, fd, buffer, sizeof(buffer), 0);
        vrift_close(task, fd);
    }
}

static void expect_one_of(vrift_task *task, const char *path, const char *a, const char *b)
{
    char text[16] = "";
    int32_t fd = (int32_t)check_ok(vrift_openat(task, AT, path, VRIFT_O_RDONLY, 0));
    check_ok(vrift_read(task, fd, text, sizeof(text) - 1));
    check_ok(vrift_close(task, fd));
    assert_true(!strcmp(text, a) || !strcmp(text, b));
}

static void running_out_of_memory_anywhere_harms_nothing(void **state)
{
    struct stack *stack = *state;
    put_on(stack, 0, true);
    for (int64_t allowed = 0; allowed < 400; allowed++) {
        check_ok(vrift_vfs_drop_caches(stack->vfs));
        stack->left = allowed;
        use_all(stack);
        stack->left = INT64_MAX;
        expect_one_of(stack->task, "/f", "low", "LOW");
        expect_one_of(stack->task, "/d/zero", "0", "0");
    }
    use_all(stack);
    expect(stack->task, "/f", "LOW");
    expect(stack->task, "/d/moved", "above");
}

struct fault {
    uint32_t countdown;
    uint32_t hits;
};

static int32_t VRIFT_CALLBACK fail_once(const char *slot, void *payload)
{
    struct fault *fault = payload;
    if (!strcmp(slot, "forget") || !strcmp(slot, "release") || fault->countdown-- != 0) {
        return 0;
    }
    fault->hits++;
    return -VRIFT_EIO;
}

static void a_fault_at_any_call_of_a_layer_loses_nothing(void **state)
{
    unsigned hits = 0;
    (void)state;
    for (uint32_t i = 0; i < 250; i++) {
        struct fault fault = {i, 0};
        struct stack *stack;
        void *fresh;
        make_stack(&fresh);
        stack = fresh;
        put_on(stack, 0, true);
        check_ok(vrift_vfs_set_fault(stack->vfs, fail_once, &fault));
        use_all(stack);
        check_ok(vrift_vfs_set_fault(stack->vfs, NULL, NULL));
        hits += fault.hits;
        for (int again = 0; again < 2; again++) {
            expect_one_of(stack->task, "/f", "low", "LOW");
            expect(stack->task, "/d/zero", "0");
            take_off(stack);
            put_on(stack, 0, true);
        }
        use_all(stack);
        expect(stack->task, "/f", "LOW");
        expect(stack->task, "/d/moved", "above");
        assert_int_equal(drop_stack(&fresh), 0);
    }
    assert_true(hits > 80);
}

/* -- Many at once ------------------------------------------------------------------------------------------------- */

#define THREADS 4
#define ROUNDS  400

struct worker {
    struct stack *stack;
    unsigned number;
};

static void *work(void *payload)
{
    struct worker *worker = payload;
    vrift_task *task;
    uint64_t buffer[512], seed = worker->number + 1;
    char path[64], other[64], text[16];
    struct vrift_stat stat;
    check_ok(vrift_task_fork(worker->stack->task, &task));
    for (unsigned i = 0; i < ROUNDS; i++) {
        seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
        snprintf(path, sizeof(path), "/d/n%u", (unsigned)(seed >> 40) % 12);
        snprintf(other, sizeof(other), "/d/n%u", (unsigned)(seed >> 50) % 12);
        int32_t fd = -1;
        switch ((seed >> 33) % 8) {
        case 0:
            fd = vrift_openat(task, AT, path, VRIFT_O_RDWR | VRIFT_O_CREAT, 0644);
            break;
        case 1:
            fd = vrift_openat(task, AT, path, VRIFT_O_RDONLY, 0);
            break;
        case 2:
            vrift_unlinkat(task, AT, path, 0);
            break;
        case 3:
            vrift_renameat2(task, AT, path, AT, other, 0);
            break;
        case 4:
            vrift_linkat(task, AT, path, AT, other, 0);
            break;
        case 5:
            vrift_fchmodat(task, AT, path, 0600, 0);
            break;
        case 6:
            vrift_statat(task, AT, path, 0, &stat);
            break;
        default:
            fd = vrift_openat(task, AT, "/d", VRIFT_O_RDONLY | VRIFT_O_DIRECTORY, 0);
            if (fd >= 0) {
                vrift_getdents(task, fd, buffer, sizeof(buffer), 0);
            }
            break;
        }
        if (fd >= 0) {
            vrift_pwrite(task, fd, "x", 1, 0);
            vrift_pread(task, fd, text, sizeof(text), 0);
            check_ok(vrift_close(task, fd));
        }
        if (i % 50 == 0) {
            vrift_vfs_drop_caches(worker->stack->vfs);
        }
    }
    vrift_task_free(task);
    return NULL;
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* The names in a directory, sorted. */
static size_t names_in(vrift_task *task, const char *path, char names[][64])
{
    uint64_t buffer[512];
    size_t count = 0;
    int32_t fd = (int32_t)check_ok(vrift_openat(task, AT, path, VRIFT_O_RDONLY | VRIFT_O_DIRECTORY, 0));
    for (int64_t got; (got = check_ok(vrift_getdents(task, fd, buffer, sizeof(buffer), 0))) > 0;) {
        for (int64_t at = 0; at < got;) {
            const struct vrift_dirent *entry = (const void *)((const char *)buffer + at);
            snprintf(names[count++], 64, "%s", vrift_dirent_name(entry));
            at += entry->record_length;
        }
    }
    check_ok(vrift_close(task, fd));
    qsort(names, count, 64, compare_lines);
    return count;
}

static void threads_leave_one_truth(void **state)
{
    struct stack *stack = *state;
    struct worker workers[THREADS];
    pthread_t threads[THREADS];
    char path[64];
    for (unsigned i = 0; i < 12; i++) {
        snprintf(path, sizeof(path), "/d/n%u", i);
        put(stack->below[i % 2], path, "lower");
    }
    put_on(stack, 0, true);
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){stack, i};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    /* What the overlay remembers is what a new one finds in the layers, and nothing was left in work. */
    char before[64][64], after[64][64], work_names[64][64];
    size_t count = names_in(stack->task, "/d", before);
    assert_int_equal(names_in(stack->upper, "/work", work_names), 2);
    take_off(stack);
    put_on(stack, 0, true);
    assert_int_equal(names_in(stack->task, "/d", after), count);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(before[i], after[i]);
    }
}

#define ON_STACK(test) cmocka_unit_test_setup_teardown(test, make_stack, drop_stack)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_STACK(bad_options_are_refused),
        ON_STACK(it_tells_its_kind_depth_and_consistency),
        ON_STACK(without_an_upper_it_is_read_only),
        ON_STACK(marks_that_it_cannot_follow_are_refused),
        ON_STACK(userxattr_keeps_its_marks_in_the_user_namespace),
        ON_STACK(an_inode_number_survives_copy_up_rename_and_forgetting),
        ON_STACK(numbers_of_different_layers_do_not_collide),
        ON_STACK(an_open_file_survives_its_last_name_and_a_copy_up_after_it),
        ON_STACK(locks_hold_over_a_copy_up),
        ON_STACK(a_nameless_file_can_be_linked),
        ON_STACK(an_overlay_can_be_a_layer),
        ON_STACK(a_scan_shows_what_stays_exactly_once),
        ON_STACK(running_out_of_memory_anywhere_harms_nothing),
        cmocka_unit_test(a_fault_at_any_call_of_a_layer_loses_nothing),
        ON_STACK(threads_leave_one_truth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
