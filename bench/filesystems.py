# SPDX-License-Identifier: Apache-2.0 OR MIT
"""The file systems to measure on: fresh ones in loop images, in our own mount namespace, and tmpfs.

Never the machine's root: an ext4 without a journal makes creation after deletion up to twenty times slower
(find_inode_bit looks for recently deleted inodes), and what else lies there disturbs.
"""
import os
import shutil
import subprocess
import tempfile

from harness import Failed, quiet, say

MAKE = {
    'ext4': 'mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0 -N 3000000 {image}',
    'xfs': 'mkfs.xfs -q -f -m reflink=1 {image}',
}


def place_for_images(gigabytes):
    """In memory, where a sample measures the software and not the disk, if what the trees need fits there twice."""
    with open('/proc/meminfo') as lines:
        free = next(int(line.split()[1]) for line in lines if line.startswith('MemAvailable'))
    shm = '/dev/shm'
    if may_mount() and os.path.isdir(shm) and kind_of(shm) == 'tmpfs' and free > gigabytes << 20:
        room = os.statvfs(shm)
        if room.f_bavail * room.f_frsize > gigabytes << 30:
            return shm
    return os.environ.get('TMPDIR', '/tmp')


class FileSystem:
    """A mounted file system; `close` unmounts it. The image is unlinked once mounted: no death of ours leaves it."""

    def __init__(self, kind, top, mounted):
        self.kind, self.top, self.mounted = kind, top, mounted

    def path(self, *parts):
        return os.path.join(self.top, *parts)

    def close(self):
        if self.mounted:
            subprocess.run(['umount', '-l', self.top], check=False)
        shutil.rmtree(self.top, ignore_errors=True)


def may_mount():
    """True in a mount namespace of our own as root: script/bench sets the variable after unshare(1)."""
    return os.geteuid() == 0 and os.environ.get('VRIFT_BENCH_PRIVATE') == '1'


def kind_of(path):
    return quiet('df --output=fstype %s' % path).split()[-1]


def open_file_system(kind, where, gigabytes):
    """Mounts a fresh file system of a kind below the directory `where`; raises Failed if it cannot be had."""
    top = tempfile.mkdtemp(prefix='vrift-bench-%s-' % kind, dir=where)
    if kind == 'here':
        return FileSystem(kind_of(where), top, False)
    try:
        if kind == 'tmpfs':
            quiet('mount -t tmpfs -o mode=755,size=%dG,nr_inodes=0 vrift-bench %s' % (gigabytes, top))
            return FileSystem(kind, top, True)
        image = top + '.img'
        try:
            quiet('truncate -s %dG %s' % (gigabytes, image))
            quiet(MAKE[kind].format(image=image))
            quiet('mount -o loop,noatime %s %s' % (image, top))
        finally:
            if os.path.exists(image):
                os.unlink(image)
        on_disk = kind_of(where) != 'tmpfs'
        return FileSystem(kind + '-disk' if on_disk else kind, top, True)
    except Failed:
        os.rmdir(top)
        raise


def wanted(names):
    """The kinds to measure on, of those asked for; says so where they cannot be mounted."""
    if may_mount():
        return names
    say('no right to mount: measuring on the temporary directory only')
    return ['here']
