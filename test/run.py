#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Runs every test program and adds up. Each speaks TAP: programs in BUILD/test/, and scripts test/*/*_test.sh, which
find the build directory in $VRIFT_BUILD and its sanitizer, if any, in $VRIFT_SANITIZE."""
import argparse
import concurrent.futures
import glob
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

LINE = re.compile(r'^(not )?ok\b\s*(\d*)\s*(?:-\s*)?(.*)$')


class Outcome:
    def __init__(self, name):
        self.name = name
        self.passed, self.failed, self.skipped = 0, [], []
        self.output, self.seconds, self.said = '', 0.0, []


def read_tap(outcome, text, exit_status):
    planned, seen, reason = None, 0, ''
    for line in text.splitlines():
        if line.startswith('# skip: '):
            reason = line[8:]
        elif line.startswith('# compared') or line.startswith('# note: '):
            outcome.said.append(line[2:])
        plan = re.match(r'^1\.\.(\d+)', line)
        if plan:
            planned = (planned or 0) + int(plan.group(1))
        result = LINE.match(line)
        if not result:
            continue
        seen += 1
        what = result.group(3).strip()
        if '# SKIP' in what.upper():
            name, _, why = re.sub('(?i)# skip', '# SKIP', what).partition('# SKIP')
            outcome.skipped.append((name.strip() or why.strip(), why.strip() if name.strip() and why.strip() else reason))
            if not outcome.skipped[-1][1]:
                outcome.failed.append(what + ' (skipped without a reason)')
            reason = ''
        elif result.group(1):
            outcome.failed.append(what)
        else:
            outcome.passed += 1
    if exit_status < 0:
        outcome.failed.append('the program was killed by %s' % signal.Signals(-exit_status).name)
    elif exit_status and not outcome.failed:
        outcome.failed.append('the program ended with status %d' % exit_status)
    elif planned is None or planned != seen:
        outcome.failed.append('the program planned %s checks and ran %d' % (planned, seen))


def run(program, args):
    outcome = Outcome(os.path.basename(program))
    env = dict(os.environ, VRIFT_BUILD=args.build, VRIFT_SOURCE=args.source, VRIFT_SANITIZE=args.sanitize,
               CMOCKA_MESSAGE_OUTPUT='TAP', LC_ALL='C.UTF-8')
    env.setdefault('TSAN_OPTIONS', 'halt_on_error=1 second_deadlock_stack=1')
    env.setdefault('UBSAN_OPTIONS', 'print_stacktrace=1')
    start = time.monotonic()
    with tempfile.TemporaryFile() as out:
        child = subprocess.Popen(['bash', program] if program.endswith('.sh') else [program], stdin=subprocess.DEVNULL,
                                 stdout=out, stderr=subprocess.STDOUT, env=env, start_new_session=True)
        try:
            status = child.wait(args.timeout)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            status = 1
            outcome.failed.append('the program took longer than %d s' % args.timeout)
        out.seek(0)
        outcome.output = out.read().decode(errors='replace')
    outcome.seconds = time.monotonic() - start
    read_tap(outcome, outcome.output, status)
    return outcome


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--source', required=True)
    parser.add_argument('--build', required=True)
    parser.add_argument('--timeout', type=int, default=600)
    parser.add_argument('--jobs', type=int, default=os.cpu_count() or 1)
    parser.add_argument('patterns', nargs='*')
    args = parser.parse_args()
    cache = open(args.build + '/CMakeCache.txt').read()
    args.sanitize = re.search(r'^VRIFT_SANITIZE:\w+=(.*)$', cache, re.M).group(1)

    names = {os.path.splitext(os.path.basename(p))[0] for p in glob.glob(args.source + '/test/*/*_test.c')}
    programs = [args.build + '/test/' + name for name in sorted(names)]
    programs += sorted(glob.glob(args.source + '/test/*/*_test.sh'))
    if args.patterns:
        programs = [p for p in programs if any(word in os.path.basename(p) for word in args.patterns)]

    passed = failed = skipped = 0
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for outcome in pool.map(lambda p: run(p, args), programs):
            passed += outcome.passed
            failed += len(outcome.failed)
            skipped += len(outcome.skipped)
            mark = 'FAIL' if outcome.failed else 'ok'
            print('%-4s %-36s %4d checks %7.1f s' % (mark, outcome.name, outcome.passed, outcome.seconds))
            for line in outcome.said:
                print('       %s' % line)
            for name, reason in outcome.skipped:
                print('       skipped: %s: %s' % (name, reason))
            for name in outcome.failed:
                print('       failed: %s' % name)
            if outcome.failed:
                print('       --- what it said:')
                print('\n'.join('       | ' + line for line in outcome.output.splitlines()[-60:]))
            sys.stdout.flush()
    print('%d passed, %d failed, %d skipped' % (passed, failed, skipped))
    return 1 if failed or not passed else 0


if __name__ == '__main__':
    sys.exit(main())
