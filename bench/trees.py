# SPDX-License-Identifier: Apache-2.0 OR MIT
"""The trees that are measured: Debian's kernel source, one of the same shape, and a C project to build."""
import os
import random
import shlex

from harness import quiet, say

SOURCE = '/usr/src/linux-source-6.1.tar.xz'

WORDS = ('static int return if else for while struct const void char unsigned long size_t sizeof goto out err ret '
         'device buffer offset length flags lock unlock list entry next prev head node inode dentry page cache read '
         'write open close register unregister probe remove init exit NULL 0 1 -ENOMEM -EINVAL { } ( ) ; , = == != '
         '-> & | << >> + - * / /* */ #define #include #ifdef #endif').split()


def text(rng, size):
    """Source-like text: compresses about as code does."""
    out, length = [], 0
    while length < size:
        line = '\t' * rng.randrange(4) + ' '.join(rng.choices(WORDS, k=rng.randrange(1, 9))) \
            + ' %x\n' % rng.getrandbits(24)
        out.append(line)
        length += len(line)
    return ''.join(out).encode()


def generated(top, files, seed=1):
    """A tree of the kernel source's shape: 15 files a directory, depth 2 to 9, sizes log-normal around 3.9 kB."""
    rng = random.Random(seed)
    pool = text(rng, 4 << 20)
    directories = ['']
    for number in range(max(files // 15, 1)):
        parent = directories[rng.randrange(len(directories))]
        while parent.count('/') >= 8:
            parent = directories[rng.randrange(len(directories))]
        directories.append('%s/dir-%d' % (parent, number))
    for name in directories:
        os.makedirs(top + name, exist_ok=True)
    for number in range(files):
        size = min(int(rng.lognormvariate(8.26, 1.56)), 24_000_000)
        where = rng.randrange(len(pool))
        header = b'/* file %d of seed %d */\n' % (number, seed)
        body = (pool[where:] + pool * (size // len(pool) + 1))[:max(size - len(header), 0)]
        path = '%s%s/file-%d.%s' % (top, directories[rng.randrange(len(directories))], number,
                                    rng.choice(['c', 'c', 'h', 'txt', 'dts']))
        with open(path, 'wb') as out:
            out.write((header + body)[:size])
        if rng.random() < 0.01:
            os.chmod(path, 0o755)
    for number in range(files // 1500):
        os.symlink('../file-%d' % number, '%s/link-%d' % (top, number))


def real_tar(cache):
    """The kernel source as a plain tar, unpacked once; None if the package is not there."""
    tar = os.path.join(cache, 'linux-source-6.1.tar')
    if not os.path.exists(tar):
        if not os.path.exists(SOURCE):
            return None
        say('unpacking %s' % SOURCE)
        os.makedirs(cache, exist_ok=True)
        quiet('xz -dc %s >%s.part && mv %s.part %s' % (SOURCE, *[shlex.quote(tar)] * 3))
    return tar


class Tree:
    """What is stored and restored: how to put it on a file system, and what to call it."""

    def __init__(self, quick, cache):
        self.tar = None if quick else real_tar(cache)
        self.files = 5000 if quick else 80000
        if self.tar:
            self.name = 'linux-source-6.1'
        else:
            self.name = 'generated %d files' % self.files
            if not quick:
                say('linux-source-6.1 is not there: measuring a generated tree of its shape')

    def put(self, top):
        """Makes the tree at `top` and counts its files."""
        os.makedirs(top)
        if self.tar:
            quiet('tar -xf %s --strip-components=1 -C %s' % (shlex.quote(self.tar), shlex.quote(top)))
        else:
            generated(top, self.files)
        self.files = int(quiet('find %s -type f | wc -l' % shlex.quote(top)))
        self.bytes = int(quiet("find %s -type f -printf '%%s\\n' | awk '{s+=$1} END{print s}'" % shlex.quote(top)))


def project(top, sources=200, headers=300, seed=2):
    """A C project: six -I directories, headers that include headers, an archive of objects, a program."""
    rng = random.Random(seed)
    include = ['inc%d' % n for n in range(6)]
    for name in include + ['src', 'obj']:
        os.makedirs(os.path.join(top, name))
    for n in range(headers):
        lines = ['#ifndef H%d_H' % n, '#define H%d_H' % n]
        lines += ['#include <h%d.h>' % rng.randrange(n) for _ in range(min(n, 3))]
        lines += ['struct h%d_s%d { int a, b; long c[%d]; };' % (n, k, k + 1) for k in range(6)]
        lines += ['static inline int h%d_f%d(int x) { return x * %d + %d; }' % (n, k, k + 3, n) for k in range(3)]
        lines += ['#define H%d_M%d(x) ((x) + %d)' % (n, k, k) for k in range(10)]
        with open(os.path.join(top, rng.choice(include), 'h%d.h' % n), 'w') as out:
            out.write('\n'.join(lines + ['#endif', '']))
    for n in range(sources):
        used = rng.sample(range(headers), 8)
        lines = ['#include <stdio.h>', '#include <stdlib.h>', '#include <string.h>'] if n % 4 == 0 else []
        lines += ['#include <h%d.h>' % h for h in used]
        lines += ['int s%d_g%d(int x) { return h%d_f%d(x) + H%d_M%d(x); }' % (n, k, h, k % 3, h, k % 10)
                  for k, h in enumerate(used)]
        lines += ['int s%d(int x) { return %s; }' % (n, ' + '.join('s%d_g%d(x)' % (n, k) for k in range(8)))]
        with open(os.path.join(top, 'src', 's%d.c' % n), 'w') as out:
            out.write('\n'.join(lines + ['']))
    with open(os.path.join(top, 'src', 'main.c'), 'w') as out:
        out.write(''.join('int s%d(int);\n' % n for n in range(sources)))
        out.write('int main(void) { return (%s) == 0; }\n' % ' + '.join('s%d(1)' % n for n in range(sources)))
    names = ' '.join('s%d' % n for n in range(sources))
    with open(os.path.join(top, 'Makefile'), 'w') as out:
        out.write('CFLAGS = -O0 -MMD %s\n' % ' '.join('-I' + name for name in include)
                  + 'OBJ = $(patsubst %%,obj/%%.o,%s)\n' % names
                  + 'prog: obj/main.o libs.a\n\t$(CC) -o $@ obj/main.o libs.a\n'
                  + 'libs.a: $(OBJ)\n\trm -f $@\n\tar rcs $@ $(OBJ)\n'
                  + 'obj/%.o: src/%.c\n\t$(CC) $(CFLAGS) -c -o $@ $<\n'
                  + '-include $(wildcard obj/*.d)\n')
