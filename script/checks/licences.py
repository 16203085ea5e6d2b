#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Checks that each file given says its licence in its first three lines, and names no place it must not."""
import re
import sys

FORBIDDEN = re.compile(r'/work/|\bfarm-')
bad = 0
for path in sys.argv[1:]:
    text = open(path, encoding='utf-8').read()
    if 'SPDX-License-Identifier: Apache-2.0 OR MIT' not in '\n'.join(text.split('\n')[:3]):
        print('%s: no SPDX line' % path, file=sys.stderr)
        bad = 1
    if path != 'script/checks/licences.py' and FORBIDDEN.search(text):
        print('%s: names a path of a particular machine' % path, file=sys.stderr)
        bad = 1
sys.exit(bad)
