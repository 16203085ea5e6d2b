#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR MIT
"""clang-tidy over src/, on the files that changed since they were last found clean."""
import concurrent.futures
import glob
import hashlib
import os
import subprocess
import sys

top = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FLAGS = ['-std=c11', '-D_GNU_SOURCE', '-D_FILE_OFFSET_BITS=64', '-Iinclude', '-Isrc', '-Isrc/frontends']


def digest(paths):
    h = hashlib.sha256()
    for path in paths:
        with open(path, 'rb') as f:
            h.update(path.encode() + b'\0' + f.read())
    return h.hexdigest()


def main():
    os.chdir(top)
    headers = sorted(glob.glob('include/**/*.h', recursive=True) + glob.glob('src/**/*.h', recursive=True))
    common = digest(['.clang-tidy'] + headers)
    clean = 'build/lint' if os.access(top, os.W_OK) else '%s/vrift-lint-%d' % (os.environ.get('TMPDIR', '/tmp'), os.getuid())
    os.makedirs(clean, exist_ok=True)

    def one(path):
        stamp = '%s/%s' % (clean, hashlib.sha256((common + digest([path])).encode()).hexdigest())
        if os.path.exists(stamp):
            return 0
        result = subprocess.run(['clang-tidy', '--quiet', path, '--'] + FLAGS, capture_output=True, text=True)
        if result.returncode == 0:
            open(stamp, 'w').close()
        else:
            sys.stderr.write(result.stdout + '\n'.join(l for l in result.stderr.split('\n') if 'warnings generated' not in l))
        return result.returncode

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return 1 if any(list(pool.map(one, sorted(glob.glob('src/**/*.c', recursive=True))))) else 0


if __name__ == '__main__':
    sys.exit(main())
