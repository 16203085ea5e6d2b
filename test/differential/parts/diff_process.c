/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The kernel's side of an episode: a mount namespace with a fresh tmpfs as its root, and a process a task. */
#include "differential/parts/diff_process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOT_STARTED UINT32_MAX /* in place of the next step, until all processes are there */
#define PATIENCE    20         /* seconds that an episode may take */

static void sleep_on(_Atomic uint32_t *word, uint32_t seen)
{
    syscall(SYS_futex, word, FUTEX_WAIT, seen, NULL, NULL, 0);
}

static void wake(struct diff_shared *shared, uint32_t slot)
{
    atomic_fetch_add(&shared->wake[slot], 1);
    syscall(SYS_futex, &shared->wake[slot], FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* Runs the steps of one task, each when its turn comes. */
static void serve(struct diff_process *process)
{
    struct diff_shared *shared = process->shared;
    for (;;) {
        uint32_t seen = atomic_load(&shared->wake[process->slot]);
        uint32_t i = atomic_load(&shared->next);
        if (i == NOT_STARTED) {
            sleep_on(&shared->wake[process->slot], seen);
            continue;
        }
        if (i >= shared->count || atomic_load(&shared->generation[process->slot]) != process->generation)
            _exit(0);
        if (shared->steps[i].task != process->slot) {
            sleep_on(&shared->wake[process->slot], seen);
            continue;
        }
        uint32_t slot = process->slot;
        diff_run_step(&process->run, shared->steps, i);
        if (process->slot != slot)
            continue; /* this is the copy that the step made */
        atomic_store(&shared->next, i + 1);
        if (i + 1 >= shared->count)
            for (uint32_t s = 0; s < DIFF_PROCESSES; s++)
                wake(shared, s);
        else if (shared->steps[i + 1].task != slot)
            wake(shared, shared->steps[i + 1].task);
    }
}

static void await_end(pid_t pid)
{
    int fd = (int)syscall(434 /* pidfd_open */, pid, 0);
    struct pollfd ready = {fd, POLLIN, 0};
    if (fd < 0)
        return; /* it is gone already */
    while (poll(&ready, 1, -1) < 0 && errno == EINTR)
        ;
    close(fd);
}

int64_t diff_process_fork(struct diff_process *process, uint32_t slot)
{
    struct diff_shared *shared = process->shared;
    uint32_t generation = atomic_fetch_add(&shared->generation[slot], 1) + 1;
    wake(shared, slot);
    await_end(atomic_load(&shared->pid[slot]));
    pid_t pid = fork();
    if (pid < 0)
        return vrift_err_from_host_errno(errno);
    if (pid == 0) {
        struct rlimit limit = {DIFF_FILES, 1024};
        setrlimit(RLIMIT_NOFILE, &limit);
        process->slot = slot;
        process->generation = generation;
        alarm(PATIENCE);
        serve(process);
    }
    atomic_store(&shared->pid[slot], pid);
    return 0;
}

static bool make_disks(void)
{
    for (int i = 0; i < DIFF_DISKS; i++) {
        int fs = (int)syscall(430 /* fsopen */, "tmpfs", 0);
        if (fs < 0 || syscall(431 /* fsconfig */, fs, 1 /* SET_STRING */, "mode", "0777", 0) < 0 ||
            syscall(431, fs, 6 /* CMD_CREATE */, NULL, NULL, 0) < 0)
            return false;
        int mount = (int)syscall(432 /* fsmount */, fs, 0, 0);
        close(fs);
        if (mount < 0 || dup2(mount, DIFF_FIRST_DISK + i) < 0)
            return false;
        close(mount);
    }
    return true;
}

/* Makes a new tmpfs the root of the mount namespace, with nothing else in it. */
static bool move_into(const char *place, const char *options)
{
    return mount("tmpfs", place, "tmpfs", 0, options) == 0 && chdir(place) == 0 &&
           syscall(SYS_pivot_root, ".", ".") == 0 && umount2(".", MNT_DETACH) == 0 && chdir("/") == 0;
}

bool diff_enter_nowhere(void)
{
    char place[] = "/tmp/vrift-differential-XXXXXX";
    if (!mkdtemp(place))
        return false;
    bool entered = unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
    int outside = open("/", O_PATH | O_DIRECTORY);
    entered = entered && move_into(place, "mode=0755");
    unlinkat(outside, place + 1, AT_REMOVEDIR);
    close(outside);
    umask(0);
    return entered && mkdir("/place", 0755) == 0;
}

static void be_task(struct diff_shared *shared, uint32_t slot, uint32_t generation)
{
    struct rlimit limit = {DIFF_FILES, 1024};
    struct diff_process *process = calloc(1, sizeof *process);
    if (!process)
        _exit(1);
    setrlimit(RLIMIT_NOFILE, &limit);
    alarm(PATIENCE);
    signal(SIGPIPE, SIG_IGN);
    *process = (struct diff_process){.shared = shared, .slot = slot};
    process->run = (struct diff_run){&diff_kernel_calls, process, shared->kernel, 0};
    process->generation = generation;
    if (diff_kernel_calls.become(process, diff_first_cred[slot]) < 0)
        _exit(1);
    diff_run_begin(&process->run);
    serve(process);
}

static int run_kernel(struct diff_shared *shared)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    alarm(PATIENCE);
    syscall(436 /* close_range */, 0, ~0u, 0);
    umask(0);
    if (unshare(CLONE_NEWNS) < 0 || !move_into("/place", "mode=0777") || !make_disks())
        return 2;
    for (uint32_t slot = 0; slot < DIFF_PROCESSES; slot++) {
        uint32_t generation = atomic_load(&shared->generation[slot]);
        pid_t pid = fork();
        if (pid < 0)
            return 3;
        if (pid == 0)
            be_task(shared, slot, generation);
        atomic_store(&shared->pid[slot], pid);
    }
    atomic_store(&shared->next, 0);
    for (uint32_t slot = 0; slot < DIFF_PROCESSES; slot++)
        wake(shared, slot);
    int trouble = 0, status;
    while (wait(&status) > 0)
        if (status)
            trouble = WIFSIGNALED(status) ? 100 + WTERMSIG(status) : 4;
    return trouble;
}

int diff_kernel_start(struct diff_shared *shared)
{
    diff_log_reset(shared->kernel);
    atomic_store(&shared->next, NOT_STARTED);
    pid_t pid = fork();
    if (pid == 0)
        _exit(run_kernel(shared));
    return pid;
}
