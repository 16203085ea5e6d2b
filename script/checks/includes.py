#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Checks the include directions of docs/architecture.md: who may include whom."""
import glob
import os
import re
import sys

top = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
UTILITIES = ['core/alloc.h', 'core/str.h', 'core/copyin.h', 'core/error.h', 'core/path.h']

# The first rule whose folder holds the file applies; an entry that ends in / allows the folder.
RULES = [
    ('include/vrift/', ['vrift/']),
    ('src/core/', ['vrift/', 'core/', 'platform/os.h']),
    ('src/backends/cas/', ['vrift/', 'backends/cas/', 'store/', 'platform/os.h'] + UTILITIES),
    ('src/backends/host/', ['vrift/', 'backends/host/', 'platform/'] + UTILITIES),
    ('src/backends/mem/', ['vrift/', 'backends/mem/', 'platform/os.h'] + UTILITIES),
    ('src/backends/overlay/', ['vrift/', 'backends/overlay/', 'platform/os.h'] + UTILITIES),
    ('src/store/', ['vrift/', 'store/', 'platform/'] + UTILITIES),
    ('src/workspace/', ['vrift/', 'workspace/', 'store/', 'platform/'] + UTILITIES),
    ('src/platform/', ['vrift/', 'platform/'] + UTILITIES),
    ('src/frontends/cli/', ['vrift/', 'cli/', 'fuse/']),
    ('src/frontends/fuse/', ['vrift/', 'fuse/']),
    ('examples/', ['vrift/']),
]
# Headers of the system that a public header may use, and that may be used in one place only.
PUBLIC_SYSTEM = {'stdint.h', 'stddef.h'}
ONLY_IN = {'zstd.h': 'src/store/compress.c', 'cmocka.h': 'test/support/check.h'}


def check(path):
    rule = next((allowed for folder, allowed in RULES if path.startswith(folder)), None)
    for number, line in enumerate(open(os.path.join(top, path), encoding='utf-8'), 1):
        match = re.match(r'\s*#\s*include\s+([<"])([^>"]+)[>"]', line)
        if not match:
            continue
        quoted, name = match.group(1) == '"', match.group(2)
        ours = quoted or name.startswith('vrift/')
        if name in ONLY_IN and ONLY_IN[name] != path:
            yield number, '%s belongs to %s alone' % (name, ONLY_IN[name])
        elif not ours and path.startswith('include/') and name not in PUBLIC_SYSTEM:
            yield number, 'a public header may not include <%s>' % name
        elif ours and rule is not None and not any(name == a or a.endswith('/') and name.startswith(a) for a in rule):
            yield number, 'may not include %s' % name


def main():
    bad, seen = 0, {}
    paths = [p for d in ('include', 'src', 'examples', 'test') for p in
             glob.glob(os.path.join(top, d, '**', '*.[ch]'), recursive=True)]
    for path in sorted(os.path.relpath(p, top) for p in paths):
        for number, why in check(path):
            print('%s:%d: %s' % (path, number, why), file=sys.stderr)
            bad = 1
        name = os.path.basename(path)
        if path.startswith('src/') and name.endswith('.c') and seen.setdefault(name, path) != path:
            print('%s: the file name is taken by %s' % (path, seen[name]), file=sys.stderr)
            bad = 1
    return bad


if __name__ == '__main__':
    sys.exit(main())
