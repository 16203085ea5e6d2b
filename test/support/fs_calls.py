#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Asks the file system of the current directory, which should be empty, whatever can be asked of one, and prints the
answers, so that those of two file systems can be compared with diff. Needs root.

Usage: fs_calls.py [--without WORD]... [--only WORD]    a WORD leaves out, or picks, the groups of that name
"""
import ctypes
import errno
import fcntl
import mmap
import os
import stat
import struct
import sys

libc = ctypes.CDLL(None, use_errno=True)
AT_FDCWD, AT_EMPTY_PATH, AT_SYMLINK_FOLLOW = -100, 0x1000, 0x400
NOREPLACE, EXCHANGE, WHITEOUT = 1, 2, 4
groups = []


def group(function):
    groups.append(function)
    return function


def name_of(error):
    return errno.errorcode.get(error.errno, str(error.errno))


def say(what, function, *arguments):
    """Prints what a call answers. Answers it too, None after an error."""
    try:
        result = function(*arguments)
    except OSError as error:
        print('%s: %s' % (what, name_of(error)))
        return None
    text = repr(result)
    print('%s: %s' % (what, text if len(text) < 300 else '%s... %d' % (text[:100], len(text))))
    return result


def call(name, *arguments):
    arguments = [os.fsencode(a) if isinstance(a, str) else ctypes.c_long(a) if isinstance(a, int) else a
                 for a in arguments]
    function = getattr(libc, name)
    result = function(*arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def look(path, fd=None):
    info = os.fstat(fd) if fd is not None else os.lstat(path)
    size = '' if stat.S_ISDIR(info.st_mode) else ' %d bytes' % info.st_size
    return '%s %d:%d links %d%s' % (stat.filemode(info.st_mode), info.st_uid, info.st_gid, info.st_nlink, size)


def put(path, text=b'', mode=0o644):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    os.write(fd, text)
    os.close(fd)


def get(path):
    with open(path, 'rb') as file:
        return file.read()


def as_user(what, uid, function, *arguments, gid=None, others=(), umask=None):
    """Like say(), as another user."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        os.setgroups(others)
        os.setgid(uid if gid is None else gid)
        os.setuid(uid)
        if umask is not None:
            os.umask(umask)
        say('user %d: %s' % (uid, what), function, *arguments)
        sys.stdout.flush()
        os._exit(0)
    os.waitpid(pid, 0)


# -- Names --------------------------------------------------------------------------------------------------------------

@group
def names():
    say('mkdir', os.mkdir, 'd')
    say('mkdir again', os.mkdir, 'd')
    say('mkdir below nothing', os.mkdir, 'none/d')
    put('f', b'text')
    say('mkdir below a file', os.mkdir, 'f/d')
    say('a long name', put, 'n' * 255)
    say('too long a name', put, 'n' * 256)
    os.unlink('n' * 255)
    say('too long a path', os.lstat, 'd/' * 3000)
    say('bytes that are no text', put, b'\xff\xfe\n')
    print(sorted(os.listdir(b'.')))
    os.unlink(b'\xff\xfe\n')
    say('symlink', os.symlink, 'd', 's')
    say('symlink again', os.symlink, 'd', 's')
    say('readlink', os.readlink, 's')
    say('readlink of a file', os.readlink, 'f')
    say('a long symlink', os.symlink, 't' * 4095, 'long')
    say('its length', lambda: len(os.readlink('long')))
    os.symlink('loop', 'loop')
    say('a loop', os.stat, 'loop')
    say('through a symlink', put, 's/inside', b'x')
    print(look('d'), look('s'), look('f'), look('d/inside'))
    say('rmdir not empty', os.rmdir, 'd')
    say('rmdir of a file', os.rmdir, 'f')
    say('unlink of a directory', os.unlink, 'd')
    say('rmdir .', os.rmdir, 'd/.')
    say('unlink nothing', os.unlink, 'none')
    say('O_EXCL', os.open, 'f', os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    say('O_CREAT of a directory', os.open, 'd', os.O_CREAT | os.O_WRONLY)
    say('O_NOFOLLOW', os.open, 's', os.O_RDONLY | os.O_NOFOLLOW)
    say('O_DIRECTORY', os.open, 'f', os.O_RDONLY | os.O_DIRECTORY)
    say('a directory to write', os.open, 'd', os.O_WRONLY)
    say('O_CREAT through a dangling symlink', lambda: (os.symlink('target', 'dangling'), put('dangling', b'y')) and None)
    say('its target', get, 'target')


@group
def links():
    put('a', b'one')
    os.link('a', 'b')
    print(look('a'), look('b'), os.path.samefile('a', 'b'))
    say('onto another', os.link, 'a', 'b')
    os.mkdir('d')
    say('of a directory', os.link, 'd', 'e')
    say('of nothing', os.link, 'none', 'e')
    os.symlink('a', 's')
    say('of a symlink', call, 'linkat', AT_FDCWD, 's', AT_FDCWD, 's2', 0)
    print(look('s2'))
    say('of its target', call, 'linkat', AT_FDCWD, 's', AT_FDCWD, 's3', AT_SYMLINK_FOLLOW)
    print(look('s3'))
    put('b', b'changed')
    print(get('a'))
    os.unlink('a')
    print(look('b'), sorted(os.listdir('.')))
    fd = os.open('b', os.O_RDWR)
    os.unlink('b')
    os.unlink('s3')
    print(look(None, fd))
    os.write(fd, b'after')
    print(os.pread(fd, 10, 0), look(None, fd))
    say('of what has no name', call, 'linkat', AT_FDCWD, '/proc/self/fd/%d' % fd, AT_FDCWD, 'back', AT_SYMLINK_FOLLOW)
    say('its size', os.ftruncate, fd, 2)
    say('its mode', os.fchmod, fd, 0o600)
    print(look(None, fd))
    os.close(fd)


@group
def unnamed():
    fd = say('O_TMPFILE', os.open, '.', os.O_TMPFILE | os.O_RDWR, 0o640)
    if fd is None:
        return
    os.write(fd, b'tmp')
    print(look(None, fd), os.listdir('.'))
    say('given a name', call, 'linkat', AT_FDCWD, '/proc/self/fd/%d' % fd, AT_FDCWD, 'named', AT_SYMLINK_FOLLOW)
    print(look('named'), get('named'))
    os.close(fd)
    fd = os.open('.', os.O_TMPFILE | os.O_EXCL | os.O_RDWR, 0o640)
    say('one that may not have any', call, 'linkat', AT_FDCWD, '/proc/self/fd/%d' % fd, AT_FDCWD, 'no', AT_SYMLINK_FOLLOW)
    os.close(fd)
    say('read-only', os.open, '.', os.O_TMPFILE | os.O_RDONLY)


@group
def renames():
    def move(old, new, flags=0):
        return call('renameat2', AT_FDCWD, old, AT_FDCWD, new, flags)

    put('a', b'a')
    put('b', b'b')
    os.makedirs('d/e')
    os.mkdir('empty')
    say('over another', move, 'a', 'b')
    say('its text', get, 'b')
    say('of nothing', move, 'a', 'c')
    say('NOREPLACE', move, 'b', 'd', NOREPLACE)
    say('NOREPLACE to nothing', move, 'b', 'c', NOREPLACE)
    say('a file over a directory', move, 'c', 'd')
    say('a directory over a file', move, 'd', 'c')
    say('over a directory that is not empty', move, 'empty', 'd')
    say('over an empty directory', move, 'd', 'empty')
    say('into itself', move, 'empty', 'empty/e/f')
    say('EXCHANGE', move, 'c', 'empty', EXCHANGE)
    print(look('c'), look('empty'))
    say('EXCHANGE with nothing', move, 'c', 'none', EXCHANGE)
    say('two flags that exclude each other', move, 'c', 'x', NOREPLACE | EXCHANGE)
    say('WHITEOUT', move, 'empty', 'moved', WHITEOUT)
    say('what is left', look, 'empty')
    say('moved', lambda: os.rename('empty', 'moved') if not os.path.exists('moved') else None)
    os.link('moved', 'other')
    say('over another name of itself', move, 'moved', 'other')
    print(sorted(os.listdir('.')))
    fd = os.open('c', os.O_RDONLY | os.O_DIRECTORY)
    os.rename('c', 'c2')
    os.close(os.open('in', os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    print(sorted(os.listdir('c2')))
    os.close(fd)
    os.chdir('c2')
    os.rename('../c2', '../c3')
    say('getcwd after a rename', lambda: os.path.basename(os.getcwd()))
    os.rmdir('e')
    os.unlink('in')
    os.rmdir('../c3')
    say('getcwd after a removal', os.getcwd)
    say('creating there', put, 'x')
    os.chdir('..')


@group
def nodes():
    for kind in (stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFREG, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFDIR):
        say('mknod %o' % kind, os.mknod, 'n%o' % kind, kind | 0o640, os.makedev(259, 70000) if kind in (
            stat.S_IFCHR, stat.S_IFBLK) else 0)
        say('it', lambda name: (look(name), os.major(os.stat(name).st_rdev), os.minor(os.stat(name).st_rdev)), 'n%o' % kind)
    os.mknod('null', stat.S_IFCHR | 0o666, os.makedev(1, 3))
    say('a device that is opened', put, 'null', b'gone') # EACCES on both where devices are not obeyed
    reader = os.open('n%o' % stat.S_IFIFO, os.O_RDONLY | os.O_NONBLOCK)
    put('n%o' % stat.S_IFIFO, b'through')
    print(os.read(reader, 100))
    os.close(reader)
    as_user('mknod of a device', 1000, os.mknod, 'no', stat.S_IFCHR | 0o600, os.makedev(1, 3))


# -- Contents -----------------------------------------------------------------------------------------------------------

@group
def contents():
    fd = os.open('f', os.O_RDWR | os.O_CREAT, 0o644)
    say('write', os.write, fd, b'0123456789')
    say('pwrite behind the end', os.pwrite, fd, b'end', 20000)
    say('pread of a hole', os.pread, fd, 5, 15000)
    say('pread across the end', os.pread, fd, 100, 20001)
    say('pread behind it', os.pread, fd, 100, 30000)
    say('SEEK_HOLE', os.lseek, fd, 0, os.SEEK_HOLE)
    say('SEEK_DATA', os.lseek, fd, 8192, os.SEEK_DATA)
    say('SEEK_DATA behind the end', os.lseek, fd, 30000, os.SEEK_DATA)
    say('SEEK_END', os.lseek, fd, -3, os.SEEK_END)
    say('read', os.read, fd, 100)
    say('ftruncate', os.ftruncate, fd, 5)
    say('ftruncate to more', os.ftruncate, fd, 8)
    print(get('f'), look('f'))
    say('truncate', os.truncate, 'f', 3)
    print(get('f'), look('f'))
    say('truncate to less than nothing', os.truncate, 'f', -1)
    other = os.open('f', os.O_WRONLY | os.O_APPEND)
    os.write(fd, b'xyz')
    say('O_APPEND', os.write, other, b'appended')
    print(get('f').replace(b'\0', b''))
    fcntl.fcntl(other, fcntl.F_SETFL, 0)
    say('no more', os.pwrite, other, b'AB', 0)
    fcntl.fcntl(fd, fcntl.F_SETFL, os.O_APPEND)
    say('O_APPEND switched on', os.write, fd, b'!')
    print(get('f').replace(b'\0', b''), look('f'))
    say('reading what is open for writing', os.read, other, 1)
    os.close(other)
    os.close(os.open('f', os.O_RDWR | os.O_TRUNC))
    print(look('f'), os.pread(fd, 10, 0))
    os.close(fd)
    big = os.urandom(3 << 20)
    put('big', big)
    print(get('big') == big, look('big').split(' ', 4)[4])
    say('fsync', lambda: [os.fsync(f) for f in [os.open('big', os.O_RDONLY)]])
    say('fsync of a directory', lambda: [os.fsync(f) for f in [os.open('.', os.O_RDONLY)]])
    direct = say('O_DIRECT', lambda: os.open('big', os.O_RDWR | os.O_DIRECT) > 0)
    if direct:
        page = mmap.mmap(-1, 4096)
        page[:] = b'd' * 4096
        fd = os.open('big', os.O_RDWR | os.O_DIRECT)
        say('a direct write', os.pwritev, fd, [page], 8192)
        say('a direct read', os.preadv, fd, [page], 4096)
        print(bytes(page) == big[4096:8192], get('big')[8192:12288] == b'd' * 4096)


@group
def mappings():
    fd = os.open('m', os.O_RDWR | os.O_CREAT, 0o644)
    os.ftruncate(fd, 10000)
    shared = mmap.mmap(fd, 10000)
    shared[5000:5005] = b'hello'
    print(os.pread(fd, 5, 5000))
    os.pwrite(fd, b'world', 6000)
    print(shared[6000:6005])
    shared.flush()
    private = mmap.mmap(fd, 10000, flags=mmap.MAP_PRIVATE)
    private[0:3] = b'own'
    print(os.pread(fd, 3, 0), private[5000:5005])
    os.unlink('m')
    os.close(fd)
    shared[0:4] = b'gone'
    print(shared[0:4], shared[5000:5005])
    put('text', b'append')
    fd = os.open('text', os.O_RDWR | os.O_APPEND)
    appending = mmap.mmap(fd, 6)
    appending[0:2] = b'AP'
    appending.flush()
    os.write(fd, b'ed')
    appending[2:4] = b'PE'
    appending.close()
    os.close(fd)
    print(get('text'))


# -- Attributes ---------------------------------------------------------------------------------------------------------

@group
def modes():
    for mask in (0, 0o022, 0o077):
        os.umask(mask)
        put('f%o' % mask, mode=0o6777)
        os.mkdir('d%o' % mask, 0o1777)
        os.mkfifo('p%o' % mask, 0o666)
        print(look('f%o' % mask), look('d%o' % mask), look('p%o' % mask))
    os.umask(0o022)
    say('chmod', os.chmod, 'f0', 0o4755)
    say('chown', os.chown, 'f0', 1000, 1001)
    print('set-user-ID is gone:', look('f0'))
    os.chmod('f0', 0o6755)
    say('of a symlink', lambda: (os.symlink('f0', 's'), os.lchown('s', 5, 6)) and None)
    print(look('s'), look('f0'))
    os.mkdir('group', 0o2777)
    os.chown('group', 0, 2000)
    os.chmod('group', 0o2777)
    put('group/f')
    os.mkdir('group/d')
    print(look('group/f'), look('group/d'))
    as_user('a set-group-ID file of a group not his', 1000, put, 'group/theirs', b'', 0o2775, umask=0)
    print(look('group/theirs'))
    as_user('chmod of his own', 1000, os.chmod, 'f0', 0o2755)
    print(look('f0'))
    os.chmod('f0', 0o6777)
    as_user('a write', 1002, put, 'f0', b'x')
    print('takes both away:', look('f0'))
    os.chmod('f0', 0o6777)
    as_user('an appending write', 1002, lambda: os.write(os.open('f0', os.O_WRONLY | os.O_APPEND), b'x'))
    print('takes both away:', look('f0'))
    os.chmod('f0', 0o6777)
    as_user('truncate', 1002, os.truncate, 'f0', 1)
    print('takes both away:', look('f0'))
    os.chmod('f0', 0o6777)
    put('f0', b'by root')
    print('root keeps them:', look('f0'))


@group
def times():
    def ago(path):
        info = os.lstat(path)
        return [(t if abs(t - now) > 1000 * 10**9 else 'now') for t in (info.st_atime_ns, info.st_mtime_ns, info.st_ctime_ns)]

    put('f', b'text')
    now = os.lstat('f').st_mtime_ns
    print(ago('f'))
    say('utime', lambda: os.utime('f', ns=(123456789, 987654321987654321)))
    print(ago('f'))
    say('before 1970', lambda: os.utime('f', ns=(-1500000000, -123456789012345678)))
    print(ago('f'))
    os.utime('f', ns=(10**9, 10**9))
    os.close(os.open('f', os.O_WRONLY))
    print('opened:', ago('f'))
    os.truncate('f', 4)
    print('truncated to its size:', ago('f'))
    os.utime('f', ns=(10**9, 10**9))
    fd = os.open('f', os.O_RDWR)
    os.write(fd, b'x')
    print('written:', ago('f'))
    os.utime(fd, ns=(10**9, 2 * 10**9))
    print('set through a descriptor:', ago('f'))
    os.close(fd)
    print('and closed:', ago('f'))
    os.chmod('f', 0o600)
    os.link('f', 'g')
    print('linked:', ago('f'))
    os.mkdir('d')
    os.utime('d', ns=(10**9, 10**9))
    put('d/x')
    print('a name more:', ago('d')[1:])
    os.utime('d', ns=(10**9, 10**9))
    put('d/x', b'again')
    print('the same name:', ago('d')[1:])
    os.utime('d', ns=(10**9, 10**9))
    os.rename('d/x', 'd/y')
    print('renamed:', ago('d')[1:])
    os.utime('d', ns=(10**9, 10**9))
    os.unlink('d/y')
    print('a name less:', ago('d')[1:])
    os.symlink('f', 's')
    os.utime('s', ns=(10**9, 10**9), follow_symlinks=False)
    print('of a symlink:', ago('s')[1:])
    os.chown('f', 1000, 1000)
    os.chmod('f', 0o666)
    as_user('now, of another\'s', 1001, lambda: os.utime('f'))
    as_user('then, of another\'s', 1001, lambda: os.utime('f', ns=(1, 1)))
    os.chmod('f', 0o644)
    as_user('now, of another\'s that he may not write', 1001, lambda: os.utime('f'))


@group
def access_times():
    def read():
        with open('f', 'rb') as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)  # what is cached is read without asking
            file.read()
        return os.stat('f').st_atime_ns > 10**15

    put('f', b'text')
    os.utime('f', ns=(10**9, 2 * 10**9))
    print('older than the last change:', read())
    os.utime('f', ns=(10**9, 5 * 10**8))
    print('older than a day:', read())
    with open('f', 'rb', opener=lambda path, flags: os.open(path, flags | os.O_NOATIME)) as file:
        os.utime('f', ns=(10**9, 2 * 10**9))
        file.read()
    print('O_NOATIME:', os.stat('f').st_atime_ns)


@group
def xattrs():
    put('f')
    os.mkdir('d')
    os.symlink('f', 's')
    say('get', os.getxattr, 'f', 'user.x')
    say('set', os.setxattr, 'f', 'user.x', b'\0value\xff')
    say('get', os.getxattr, 'f', 'user.x')
    say('CREATE', os.setxattr, 'f', 'user.x', b'', os.XATTR_CREATE)
    say('REPLACE', os.setxattr, 'f', 'user.y', b'', os.XATTR_REPLACE)
    say('empty', os.setxattr, 'f', 'user.empty', b'')
    say('of a directory', os.setxattr, 'd', 'user.x', b'd')
    say('through a symlink', os.getxattr, 's', 'user.x')
    say('of a symlink', lambda: os.setxattr('s', 'user.x', b's', follow_symlinks=False))
    say('trusted', os.setxattr, 'f', 'trusted.x', b't')
    say('trusted of a symlink', lambda: os.setxattr('s', 'trusted.x', b's', follow_symlinks=False))
    say('security', os.setxattr, 'f', 'security.x', b'sec')
    say('of no namespace', os.setxattr, 'f', 'other.x', b'')
    say('without a name', os.setxattr, 'f', 'user.', b'')
    say('a long name', os.setxattr, 'f', 'user.' + 'n' * 250, b'n')
    say('too long a name', os.setxattr, 'f', 'user.' + 'n' * 251, b'n')
    say('a large value', os.setxattr, 'd', 'user.large', b'v' * 60000)
    say('too large a value', os.setxattr, 'd', 'user.larger', b'v' * 65537)
    say('list', lambda: sorted(os.listxattr('f')))
    say('list of a directory', lambda: sorted(os.listxattr('d')))
    say('list of a symlink', lambda: sorted(os.listxattr('s', follow_symlinks=False)))
    say('remove', os.removexattr, 'f', 'user.empty')
    say('remove again', os.removexattr, 'f', 'user.empty')
    as_user('trusted', 1000, os.getxattr, 'f', 'trusted.x')
    as_user('list', 1000, lambda: sorted(os.listxattr('f')))
    as_user('set of another\'s', 1000, os.setxattr, 'f', 'user.z', b'')
    os.chmod('f', 0o600)
    as_user('get of what he may not read', 1000, os.getxattr, 'f', 'user.x')


def acl(*entries):
    return struct.pack('<I', 2) + b''.join(struct.pack('<HHI', *entry) for entry in entries)


USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, OTHER, NOBODY = 1, 2, 4, 8, 16, 32, 0xffffffff


@group
def acls():
    access, default = 'system.posix_acl_access', 'system.posix_acl_default'
    put('f', b'text', 0o600)
    say('none', os.getxattr, 'f', access)
    say('set', os.setxattr, 'f', access, acl((USER_OBJ, 6, NOBODY), (USER, 4, 1000), (GROUP_OBJ, 0, NOBODY), (MASK, 4, NOBODY),
                                             (OTHER, 0, NOBODY)))
    say('get', os.getxattr, 'f', access)
    print(look('f'))
    as_user('reading', 1000, get, 'f')
    as_user('reading', 1001, get, 'f')
    os.chmod('f', 0o600)
    as_user('reading after the mask has gone', 1000, get, 'f')
    say('one that is no list', os.setxattr, 'f', access, acl((USER_OBJ, 6, NOBODY)))
    say('one that says no more than the mode', os.setxattr, 'f', access, acl(
        (USER_OBJ, 6, NOBODY), (GROUP_OBJ, 4, NOBODY), (OTHER, 4, NOBODY)))
    print(look('f'))
    say('get', os.getxattr, 'f', access)
    os.mkdir('d')
    say('default', os.setxattr, 'd', default, acl((USER_OBJ, 7, NOBODY), (USER, 7, 1000), (GROUP_OBJ, 5, NOBODY), (MASK, 7, NOBODY),
                                                  (OTHER, 0, NOBODY)))
    say('default of a file', os.setxattr, 'f', default, acl((USER_OBJ, 7, NOBODY), (GROUP_OBJ, 5, NOBODY), (OTHER, 0, NOBODY)))
    os.umask(0o077)
    put('d/f', b'inherited', 0o666)
    os.mkdir('d/d', 0o777)
    os.umask(0o022)
    print(look('d/f'), look('d/d'))
    say('inherited', os.getxattr, 'd/f', access)
    say('inherited', os.getxattr, 'd/d', default)
    as_user('reading', 1000, get, 'd/f')
    as_user('looking', 1001, os.listdir, 'd/d')
    os.mkdir('closed')
    put('closed/f', b'closed')
    as_user('reading', 1000, get, 'closed/f')
    say('taking it away from one', os.setxattr, 'closed', access, acl((USER_OBJ, 7, NOBODY), (USER, 0, 1000), (GROUP_OBJ, 5, NOBODY),
                                                                      (MASK, 5, NOBODY), (OTHER, 5, NOBODY)))
    as_user('reading', 1000, get, 'closed/f')
    as_user('reading', 1001, get, 'closed/f')
    as_user('setting of another\'s', 1000, os.setxattr, 'd', access, acl((USER_OBJ, 7, NOBODY), (GROUP_OBJ, 5, NOBODY), (OTHER, 0, NOBODY)))
    say('remove', os.removexattr, 'closed', access)
    as_user('reading', 1000, get, 'closed/f')


# -- Who may ------------------------------------------------------------------------------------------------------------

@group
def permissions():
    os.mkdir('open')
    put('open/f', b'f')
    put('open/secret', b's', 0o600)
    os.mkdir('open/sub')
    put('open/sub/f', b'deep')
    as_user('read', 1000, get, 'open/f')
    as_user('read what is secret', 1000, get, 'open/secret')
    as_user('read below', 1000, get, 'open/sub/f')
    as_user('write', 1000, put, 'open/f', b'x')
    as_user('create', 1000, put, 'open/new', b'x')
    as_user('no such name', 1000, get, 'open/none')
    for mode in (0o700, 0o744, 0o711, 0o755, 0o750):
        os.chmod('open', mode)
        for uid in (1000, 0):
            as_user('%o: read below' % mode, uid, get, 'open/sub/f')
            as_user('%o: stat' % mode, uid, look, 'open/f')
            as_user('%o: no such name' % mode, uid, get, 'open/none')
            as_user('%o: list' % mode, uid, lambda: sorted(os.listdir('open')))
            as_user('%o: access' % mode, uid, os.access, 'open', os.X_OK)
    as_user('as one of its group', 1000, get, 'open/f', gid=0)
    as_user('as one of its group besides', 1000, get, 'open/f', others=(5, 0, 7))
    os.chown('open', 1000, 1000)
    as_user('as its owner', 1000, get, 'open/f')
    as_user('as another', 1001, get, 'open/f')
    os.chmod('open', 0o1777)
    put('open/roots', b'')
    as_user('remove from a sticky directory of his own', 1000, os.unlink, 'open/roots')
    put('open/roots', b'')
    as_user('remove another\'s from a sticky directory', 1001, os.unlink, 'open/roots')
    as_user('rename another\'s in a sticky directory', 1001, os.rename, 'open/roots', 'open/mine')
    as_user('create', 1001, put, 'open/his', b'h')
    print(look('open/his'))
    as_user('chmod of another\'s', 1000, os.chmod, 'open/his', 0o777)
    as_user('chown', 1001, os.chown, 'open/his', 1000, -1)
    as_user('chgrp to a group not his', 1001, os.chown, 'open/his', -1, 2000)
    as_user('chgrp to one of his', 1001, lambda: os.chown('open/his', -1, 2000), others=(2000,))
    print(look('open/his'))
    as_user('link of another\'s', 1000, os.link, 'open/roots', 'open/link')
    as_user('link of his own', 1001, os.link, 'open/his', 'open/link')
    as_user('truncate of another\'s', 1000, os.truncate, 'open/roots', 0)
    os.chmod('open/his', 0o200)
    as_user('read what one may only write', 1001, get, 'open/his')
    as_user('and write it', 1001, put, 'open/his', b'w')

    def keeps():
        fd = os.open('open/kept', os.O_RDWR | os.O_CREAT, 0o600)
        os.fchmod(fd, 0)
        os.write(fd, b'still')
        os.ftruncate(fd, 3)
        return os.pread(fd, 10, 0)

    as_user('what is open stays open', 1001, keeps)


@group
def programs():
    with open('/bin/true', 'rb') as file:
        true = file.read()

    def run(path):
        pid = os.fork()
        if pid == 0:
            try:
                os.execv(path, [path])
            except OSError as error:
                os._exit(error.errno)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    put('true', true, 0o755)
    print('run:', run('./true'))
    os.chmod('true', 0o111)
    as_user('run what one may not read', 1000, run, './true')
    as_user('read it', 1000, get, 'true')
    os.chmod('true', 0o744)
    as_user('run what one may only read', 1000, run, './true')
    os.chmod('true', 0o644)
    print('run by root:', run('./true'))
    put('script', b'#!/bin/sh\nexit 7\n', 0o755)
    print('script:', run('./script'))
    os.chmod('true', 0o755)
    fd = os.open('true', os.O_WRONLY)
    print('open for writing:', run('./true'))
    os.close(fd)
    os.mkdir('closed')
    put('closed/true', true, 0o755)
    as_user('run', 1000, run, './closed/true')
    os.chmod('closed', 0o700)
    as_user('run in a closed directory', 1000, run, './closed/true')


# -- Directories --------------------------------------------------------------------------------------------------------

@group
def listings():
    os.mkdir('many')
    for i in range(1000):
        put('many/%d-%s' % (i, 'x' * (i % 200)))
    print(len(os.listdir('many')), len(set(os.listdir('many'))))
    with os.scandir('many') as entries:
        print(sum(entry.is_file(follow_symlinks=False) for entry in entries))
    gone = 0
    with os.scandir('many') as entries:
        for entry in entries:
            os.unlink('many/' + entry.name)
            gone += 1
    print(gone, os.listdir('many'))
    say('rmdir', os.rmdir, 'many')
    os.makedirs('a/b/c')
    print(look('a'), look('a/b'), sorted(os.listdir('a/b/..')))
    fd = os.open('a', os.O_RDONLY)
    before = os.listdir(fd)
    put('a/new')
    print(before, sorted(os.listdir(fd)))
    say('read of a directory', os.read, fd, 10)
    os.close(fd)


@group
def clones():
    put('from', b'0123456789' * 1000)
    source, target = os.open('from', os.O_RDONLY), os.open('to', os.O_RDWR | os.O_CREAT, 0o644)
    say('copy_file_range', os.copy_file_range, source, target, 5000, 100, 50)
    print(look('to'), os.pread(target, 10, 45))
    say('sendfile', os.sendfile, target, source, 0, 300)
    print(look('to'))


@group
def space():
    put('f', b'0123456789' * 505)
    fd = os.open('f', os.O_RDWR)
    for mode, at, length in ((0, 0, 20000), (1, 30000, 1000), (3, 4096, 4096), (3, 0, 10), (2, 0, 1)):
        say('fallocate %d' % mode, call, 'fallocate', fd, mode, at, length)
        print(look('f'), os.pread(fd, 4, 5000), os.pread(fd, 4, 148))


def locks():
    put('l', b'0123456789')
    fd = os.open('l', os.O_RDWR)
    say('flock', fcntl.flock, fd, fcntl.LOCK_EX)
    as_user('flock', 1000, lambda: fcntl.flock(os.open('l', os.O_RDONLY), fcntl.LOCK_SH | fcntl.LOCK_NB))
    say('unlock', fcntl.flock, fd, fcntl.LOCK_UN)
    as_user('flock', 1000, lambda: fcntl.flock(os.open('l', os.O_RDONLY), fcntl.LOCK_SH | fcntl.LOCK_NB))
    say('a lock of a record', fcntl.lockf, fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 5, 0)
    as_user('a lock of it', 0, lambda: fcntl.lockf(os.open('l', os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB, 3, 3))
    as_user('a lock of another', 0, lambda: fcntl.lockf(os.open('l', os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB, 3, 6))
    os.close(os.open('l', os.O_RDONLY))
    as_user('a lock of it, after a close', 0, lambda: fcntl.lockf(os.open('l', os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB, 3, 3))


groups.append(locks)


def main():
    without = [sys.argv[i + 1] for i, word in enumerate(sys.argv) if word == '--without']
    only = [sys.argv[i + 1] for i, word in enumerate(sys.argv) if word == '--only']
    top = os.getcwd()
    os.umask(0o022)
    for function in groups:
        if function.__name__ in without or (only and function.__name__ not in only):
            continue
        print('-- ' + function.__name__)
        os.mkdir(os.path.join(top, function.__name__))
        os.chdir(os.path.join(top, function.__name__))
        os.umask(0o022)
        os.chmod('.', 0o777)
        function()
        sys.stdout.flush()
    os.chdir(top)


main()
