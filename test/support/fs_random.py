#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Asks two file systems the same random questions, as several users, and stops at the first answer that differs.

Usage: fs_random.py [--ops N] [--seed S] [--loose] DIR DIR    both empty, of one mode; needs root

--loose is for a mount without default_permissions, where the kernel leaves permissions to the server, and so may say first
what else is wrong; and opens fifos and the like without asking anybody, so there are none.
"""
import errno
import fcntl
import mmap
import os
import random
import stat
import struct
import sys

NAMES = 'abcd'
USERS = [(0, 0, []), (0, 0, []), (1000, 1000, []), (1001, 1001, [1000, 2000]), (1002, 1000, [])]
MODES = [0o777, 0o755, 0o711, 0o700, 0o750, 0o770, 0o644, 0o666, 0o600, 0o4755, 0o2755, 0o2775, 0o1777, 0o6777, 0o070, 0o007]
ACCESS, DEFAULT = 'system.posix_acl_access', 'system.posix_acl_default'


def acl(rng):
    entries = [(1, rng.randrange(8), 0xffffffff)]
    entries += [(2, rng.randrange(8), uid) for uid in sorted(rng.sample([1000, 1001, 1002], rng.randrange(3)))]
    entries += [(4, rng.randrange(8), 0xffffffff)]
    entries += [(8, rng.randrange(8), gid) for gid in sorted(rng.sample([1000, 2000], rng.randrange(2)))]
    if len(entries) > 2:
        entries += [(16, rng.randrange(8), 0xffffffff)]
    entries += [(32, rng.randrange(8), 0xffffffff)]
    return struct.pack('<I', 2) + b''.join(struct.pack('<HHI', *entry) for entry in entries)


def look(info):
    size = None if stat.S_ISDIR(info.st_mode) else info.st_size
    return oct(info.st_mode), info.st_nlink, info.st_uid, info.st_gid, size, info.st_rdev


class Side:
    """One of the two file systems, with its open files."""

    def __init__(self, root):
        self.root = root.rstrip('/') + '/inner/'  # so that a symlink to .. stays within
        os.mkdir(self.root)
        os.chmod(self.root, 0o1777)
        self.fds = {}

    def ask(self, question):
        name, arguments = question[0], question[1:]
        try:
            return getattr(self, name)(*arguments)
        except OSError as error:
            return errno.errorcode.get(error.errno, error.errno)

    def at(self, path):
        return self.root + path

    def stat(self, path):
        return look(os.stat(self.at(path)))

    def lstat(self, path):
        return look(os.lstat(self.at(path)))

    def access(self, path, mode):
        return os.access(self.at(path), mode, effective_ids=True)

    def mkdir(self, path, mode):
        os.mkdir(self.at(path), mode)

    def mknod(self, path, mode):
        os.mknod(self.at(path), mode, os.makedev(1, 3))

    def rmdir(self, path):
        os.rmdir(self.at(path))

    def unlink(self, path):
        os.unlink(self.at(path))

    def rename(self, old, new):
        os.rename(self.at(old), self.at(new))

    def link(self, old, new):
        os.link(self.at(old), self.at(new), follow_symlinks=False)

    def symlink(self, target, path):
        os.symlink(target, self.at(path))

    def readlink(self, path):
        return os.readlink(self.at(path))

    def listdir(self, path):
        return sorted(os.listdir(self.at(path)))

    def scandir(self, path):
        with os.scandir(self.at(path)) as entries:
            return sorted((entry.name, entry.is_dir(follow_symlinks=False), self.lstat(path + '/' + entry.name))
                          for entry in entries)

    def chmod(self, path, mode):
        os.chmod(self.at(path), mode)

    def chown(self, path, uid, gid):
        os.lchown(self.at(path), uid, gid)

    def truncate(self, path, size):
        os.truncate(self.at(path), size)

    def utime(self, path, when):
        os.utime(self.at(path), ns=(when, when + 1))
        return os.stat(self.at(path)).st_mtime_ns

    def setxattr(self, path, name, value, flags):
        os.setxattr(self.at(path), name, value, flags)

    def getxattr(self, path, name):
        return os.getxattr(self.at(path), name)

    def removexattr(self, path, name):
        os.removexattr(self.at(path), name)

    def listxattr(self, path):
        return sorted(os.listxattr(self.at(path)))

    def read(self, path):
        fd = os.open(self.at(path), os.O_RDONLY | os.O_NONBLOCK)
        try:
            return hash(os.read(fd, 1 << 20))
        finally:
            os.close(fd)

    def write(self, path, data):
        fd = os.open(self.at(path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NONBLOCK, 0o666)
        try:
            return os.write(fd, data)
        finally:
            os.close(fd)

    def open(self, slot, path, flags, mode):
        if slot in self.fds:
            os.close(self.fds.pop(slot))
        self.fds[slot] = os.open(self.at(path), flags | os.O_NONBLOCK, mode)

    def close(self, slot):
        if slot in self.fds:
            os.close(self.fds.pop(slot))

    def with_fd(self, slot, what, *arguments):
        if slot not in self.fds:
            return None
        fd = self.fds[slot]
        if what == 'fstat':
            return look(os.fstat(fd))
        if what == 'mmap':
            size = os.fstat(fd).st_size
            at, data = arguments
            if not stat.S_ISREG(os.fstat(fd).st_mode) or at >= size:
                return None
            with mmap.mmap(fd, size) as mapped:
                mapped[at:at + len(data)] = data[:size - at]
                mapped.flush()  # the kernel asks the server where data lies, who does not know what is in its cache
            return None
        if what == 'lseek' and not stat.S_ISREG(os.fstat(fd).st_mode):
            return None # in directories every file system has its own numbers
        function = getattr(os, what, None) or getattr(fcntl, what)
        result = function(fd, *arguments)
        return hash(result) if isinstance(result, bytes) else result

    def tree(self):
        lines = []
        for path, directories, files in os.walk(self.root):
            for name in sorted(directories + files) + ['']:
                full = os.path.join(path, name)
                info = os.lstat(full)
                line = [full[len(self.root):], look(info)]
                if stat.S_ISREG(info.st_mode):
                    with open(full, 'rb') as file:
                        line.append(hash(file.read()))
                if not stat.S_ISLNK(info.st_mode):
                    line += [(x, os.getxattr(full, x)) for x in sorted(os.listxattr(full))]
                lines.append(line)
        return sorted(lines, key=lambda line: line[0])


def question(rng, loose):
    kinds = [stat.S_IFREG] if loose else [stat.S_IFIFO, stat.S_IFREG, stat.S_IFSOCK, stat.S_IFCHR]

    def path():
        return '/'.join(rng.choice(NAMES) for _ in range(rng.choice([1, 1, 2, 2, 3])))

    def data():
        return rng.randbytes(rng.choice([1, 10, 100, 5000, 20000]))

    slot, user = rng.randrange(6), [1000, 1001, 1002, 0, -1]
    return rng.choice([
        lambda: ('stat', path()), lambda: ('lstat', path()), lambda: ('access', path(), rng.randrange(8)),
        lambda: ('mkdir', path(), rng.choice(MODES)), lambda: ('mkdir', path(), 0o777),
        lambda: ('mknod', path(), rng.choice(kinds) | rng.choice(MODES)),
        lambda: ('rmdir', path()), lambda: ('unlink', path()), lambda: ('rename', path(), path()),
        lambda: ('link', path(), path()), lambda: ('symlink', rng.choice([path(), '../' + path(), 'x']), path()),
        lambda: ('readlink', path()), lambda: ('listdir', path()), lambda: ('scandir', path()),
        lambda: ('chmod', path(), rng.choice(MODES)), lambda: ('chown', path(), rng.choice(user), rng.choice(user[:4])),
        lambda: ('truncate', path(), rng.randrange(30000)), lambda: ('utime', path(), rng.randrange(2**60)),
        lambda: ('setxattr', path(), rng.choice(['user.a', 'user.b', 'trusted.c']), rng.randbytes(8), rng.randrange(3)),
        lambda: ('setxattr', path(), ACCESS, acl(rng), 0), lambda: ('setxattr', path(), DEFAULT, acl(rng), 0),
        lambda: ('getxattr', path(), rng.choice(['user.a', 'user.b', 'trusted.c', ACCESS, DEFAULT])),
        lambda: ('removexattr', path(), rng.choice(['user.a', ACCESS, DEFAULT])), lambda: ('listxattr', path()),
        lambda: ('read', path()), lambda: ('write', path(), data()), lambda: ('write', path(), data()),
        lambda: ('open', slot, path(), rng.choice([os.O_RDONLY, os.O_RDWR, os.O_WRONLY, os.O_RDWR | os.O_CREAT,
                                                   os.O_RDWR | os.O_CREAT | os.O_EXCL, os.O_RDWR | os.O_TRUNC, os.O_RDWR | os.O_APPEND,
                                                   os.O_RDONLY | os.O_DIRECTORY, os.O_RDWR | os.O_NOFOLLOW,
                                                   os.O_PATH]), rng.choice(MODES)),
        lambda: ('open', slot, path(), os.O_RDWR | os.O_CREAT, 0o666), lambda: ('close', slot),
        lambda: ('with_fd', slot, 'fstat'), lambda: ('with_fd', slot, 'pwrite', data(), rng.randrange(30000)),
        lambda: ('with_fd', slot, 'write', data()), lambda: ('with_fd', slot, 'pread', rng.randrange(30000), rng.randrange(30000)),
        lambda: ('with_fd', slot, 'read', rng.randrange(9000)),
        lambda: ('with_fd', slot, 'lseek', rng.randrange(30000), rng.choice([os.SEEK_SET, os.SEEK_END, os.SEEK_DATA, os.SEEK_HOLE])),
        lambda: ('with_fd', slot, 'ftruncate', rng.randrange(30000)), lambda: ('with_fd', slot, 'fchmod', rng.choice(MODES)),
        lambda: ('with_fd', slot, 'fchown', rng.choice(user), rng.choice(user[:4])),
        lambda: ('with_fd', slot, 'posix_fallocate', rng.randrange(30000), rng.randrange(1, 9000)),
        lambda: ('with_fd', slot, 'mmap', rng.randrange(20000), data()),
        lambda: ('with_fd', slot, 'flock', rng.choice([fcntl.LOCK_SH, fcntl.LOCK_EX]) | fcntl.LOCK_NB),
    ])()


def become(user):
    os.seteuid(0)
    os.setegid(0)
    uid, gid, groups = user
    os.setgroups(groups)
    os.setegid(gid)
    os.seteuid(uid)


def main():
    words = sys.argv[1:]
    count = int(words[words.index('--ops') + 1]) if '--ops' in words else 4000
    seed = int(words[words.index('--seed') + 1]) if '--seed' in words else 1
    sides = [Side(words[-2]), Side(words[-1])]
    loose = '--loose' in words
    rng = random.Random(seed)
    history, user, mask = [], USERS[0], 0o022
    for step in range(count):
        if rng.randrange(4) == 0:
            user = rng.choice(USERS)
        if rng.randrange(20) == 0:
            mask = rng.choice([0, 0o022, 0o077, 0o002])
        asked = question(rng, loose)
        become(user)
        os.umask(mask)
        answers = [side.ask(asked) for side in sides]
        if loose and asked[0] in ('unlink', 'rmdir', 'rename', 'link') and answers[0] in ('EPERM', 'EACCES'):
            answers[1] = answers[0] if isinstance(answers[1], str) else answers[1]
        history.append((user[0], oct(mask), asked, answers[0]))
        trees = None
        if step % 100 == 99 or step == count - 1:
            become(USERS[0])
            trees = [side.tree() for side in sides]
        if answers[0] != answers[1] or (trees and trees[0] != trees[1]):
            for entry in history[-30:]:
                print(*(str(word)[:150] for word in entry))
            if answers[0] != answers[1]:
                print('then %r, but %r' % tuple(answers))
            else:
                for line in [line for line in trees[0] + trees[1] if line not in trees[0] or line not in trees[1]]:
                    print(line)
            sys.exit('seed %d, step %d: they differ' % (seed, step))
    print('%d questions, seed %d' % (count, seed))


main()
