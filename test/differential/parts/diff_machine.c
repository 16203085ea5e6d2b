/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What the running kernel is and how it is set. */
#include "differential/differential.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

uint32_t diff_protections;

static void read_protection(const char *path, uint32_t one, uint32_t two)
{
    FILE *file = fopen(path, "r");
    int value = file ? fgetc(file) : '0';
    if (file)
        fclose(file);
    diff_protections |= value == '1' ? one : value == '2' ? one | two : 0;
}

void diff_read_protections(void)
{
    diff_protections = 0;
    read_protection("/proc/sys/fs/protected_symlinks", VRIFT_PROTECT_SYMLINKS, 0);
    read_protection("/proc/sys/fs/protected_hardlinks", VRIFT_PROTECT_HARDLINKS, 0);
    read_protection("/proc/sys/fs/protected_regular", VRIFT_PROTECT_REGULAR, VRIFT_PROTECT_REGULAR_GROUP);
    read_protection("/proc/sys/fs/protected_fifos", VRIFT_PROTECT_FIFOS, VRIFT_PROTECT_FIFOS_GROUP);
    if (!diff_protections)
        diff_protections = VRIFT_PROTECT_NOTHING;
}

bool diff_has_fine_times(void)
{
    struct diff_facts facts[3];
    int fd = open("/times", O_CREAT | O_RDWR, 0600);
    bool fine = fd >= 0;
    for (int i = 0; i < 3 && fine; i++)
        fine = fchmod(fd, 0600) == 0 && diff_kernel_calls.fstat(NULL, fd, &facts[i]) == 0;
    close(fd);
    unlink("/times");
    return fine && facts[0].ctime.nsec != facts[1].ctime.nsec && facts[1].ctime.nsec != facts[2].ctime.nsec;
}

/* It does from Linux 6.15 on; what is asked here are the latest: attributes by path, and copies of detached mounts. */
bool diff_kernel_knows_all(void)
{
    if (syscall(466 /* removexattrat */, -1, "", 0, "user.x") < 0 && errno == ENOSYS)
        return false;
    int fs = (int)syscall(430 /* fsopen */, "tmpfs", 0);
    if (fs < 0 || syscall(431 /* fsconfig */, fs, 6 /* CMD_CREATE */, NULL, NULL, 0) < 0)
        return false;
    int mount = (int)syscall(432 /* fsmount */, fs, 0, 0);
    int copy = (int)syscall(428 /* open_tree */, mount, "", AT_EMPTY_PATH | 1 /* OPEN_TREE_CLONE */);
    bool can = copy >= 0;
    close(copy);
    close(mount);
    close(fs);
    return can;
}
