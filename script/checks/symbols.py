#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Checks that abi/symbols.txt lists exactly what the public headers declare, sorted, and that each declaration is
documented with @return, Thread safety and @since. With a library as argument: that it exports exactly that list."""
import glob
import os
import re
import subprocess
import sys

top = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def listed():
    lines = [line.split() for line in open(top + '/abi/symbols.txt') if re.match('[a-z]', line)]
    return [line[0] for line in lines]


def declared():
    """name -> (its header, its comment, whether it returns something)"""
    found = {}
    for path in sorted(glob.glob(top + '/include/vrift/*.h')):
        text = open(path).read()
        for match in re.finditer(r'(/\*\*(?:(?!\*/).)*\*/)?\s*^VRIFT_API\s+([^;]*?)\b(vrift_\w+)\(', text, re.S | re.M):
            found[match.group(3)] = (os.path.relpath(path, top), match.group(1) or '', match.group(2).strip() != 'void')
    return found


def exported(library):
    out = subprocess.run(['nm', '-D', '--defined-only', library], check=True, capture_output=True, text=True).stdout
    return {line.split()[2].split('@')[0] for line in out.splitlines() if line.split()[1] in 'TDBRWV'}


def main():
    problems = []
    names, headers = listed(), declared()
    if names != sorted(set(names)):
        problems.append('abi/symbols.txt is not sorted, or lists a name twice')
    problems += ['%s is listed in abi/symbols.txt but in no header' % n for n in sorted(set(names) - set(headers))]
    problems += ['%s: %s is not in abi/symbols.txt' % (headers[n][0], n) for n in sorted(set(headers) - set(names))]
    for name, (path, comment, returns) in headers.items():
        for word in ('@return', 'Thread safety:', '@since'):
            if word not in comment and (returns or word != '@return'):
                problems.append('%s: the comment of %s has no %s' % (path, name, word))
    if len(sys.argv) > 1:
        there = exported(sys.argv[1])
        problems += ['%s is not exported' % n for n in sorted(set(names) - there)]
        problems += ['%s is exported but not listed' % n for n in sorted(there - set(names)) if not n.startswith('VRIFT_')]
    for problem in problems:
        print('symbols: ' + problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == '__main__':
    sys.exit(main())
