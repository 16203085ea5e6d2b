#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Prints what a tree is, one line a name, so that two trees can be compared with diff.

Usage: dump_tree.py [--no-owner] [--no-holes] [--no-links] [--no-times] [--acls] [--directory-links] DIR
"""
import hashlib
import os
import stat
import sys


def read_content(fd, size, holes):
    """The digest of what is not zero, and where data lies, to whole 64 KiB: file systems may round holes."""
    digest, parts, at = hashlib.sha256(), [], 0
    while at < size:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
        except OSError:
            break
        end = os.lseek(fd, start, os.SEEK_HOLE)
        parts.append('%d-%d' % (start >> 16, (end + 0xffff) >> 16))
        for at in range(start & ~0xffff, end, 1 << 16):
            block = os.pread(fd, 1 << 16, at)
            if block.strip(b'\0'):
                digest.update(b'%d:' % at + block)
        at = end
    return digest.hexdigest()[:16] + (' ' + ','.join(parts) if holes else '')


def describe(path, options):
    info = os.lstat(path)
    words = [stat.filemode(info.st_mode)]
    if '--no-times' not in options:
        words.append(str(info.st_mtime_ns))
    if '--no-owner' not in options:
        words.append('%d:%d' % (info.st_uid, info.st_gid))
    if '--directory-links' in options or ('--no-links' not in options and not stat.S_ISDIR(info.st_mode)):
        words.append('links=%d' % info.st_nlink)
    if stat.S_ISREG(info.st_mode):
        fd = os.open(path, os.O_RDONLY)
        words += [str(info.st_size), read_content(fd, info.st_size, '--no-holes' not in options)]
        os.close(fd)
    elif stat.S_ISLNK(info.st_mode):
        words.append(repr(os.fsencode(os.readlink(path))))
    elif stat.S_ISBLK(info.st_mode) or stat.S_ISCHR(info.st_mode):
        words.append('%d,%d' % (os.major(info.st_rdev), os.minor(info.st_rdev)))
    for name in sorted(os.listxattr(path, follow_symlinks=False)):
        if name.startswith(('user.', 'security.capability', 'trusted.') + (('system.',) if '--acls' in options else ())):
            words.append('%s=%r' % (name, os.getxattr(path, name, follow_symlinks=False)))
    return info, ' '.join(words)


def main():
    options, root = sys.argv[1:-1], os.fsencode(sys.argv[-1])
    first_names, lines = {}, []
    todo = [root]
    while todo:
        path = todo.pop()
        info, text = describe(path, options)
        name = os.path.relpath(path, root)
        if '--no-links' not in options and info.st_nlink > 1 and not stat.S_ISDIR(info.st_mode):
            first_names.setdefault((info.st_dev, info.st_ino), []).append(name)
        lines.append((name, text))
        if stat.S_ISDIR(info.st_mode):
            todo += [os.path.join(path, child) for child in os.listdir(path)]
    for name, text in sorted(lines):
        print(repr(name), text)
    for names in sorted(sorted(names) for names in first_names.values()):
        print('one file:', names)


main()
