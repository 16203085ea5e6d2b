# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Takes samples: interleaved, wall and CPU time, the set-up and the cleaning outside of the clock."""
import ctypes
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import time

PR_SET_CHILD_SUBREAPER = 36


def say(text):
    print(text, file=sys.stderr, flush=True)


def adopt_orphans():
    """Daemons that a sample leaves behind (a FUSE server) become our children: their CPU time counts too."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Contender:
    """One way to do the work. `command` is a shell text; `before`, `after` and `warm` run outside of the clock.

    `notes` says what is not like for like. A contender without `peer` is ours (a subject).
    """

    def __init__(self, name, command, subject=False, before=None, after=None, warm=None, cwd=None, notes=''):
        self.name, self.command, self.subject = name, command, subject
        self.before, self.after, self.warm, self.cwd, self.notes = before, after, warm, cwd, notes
        self.wall, self.cpu, self.error = [], [], None

    def median(self, metric):
        return statistics.median(getattr(self, metric))


class Failed(Exception):
    pass


def quiet(command, cwd=None):
    """Runs a preparation; its output appears only when it fails."""
    done = subprocess.run(['bash', '-c', command], cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    if done.returncode != 0:
        tail = done.stdout.decode(errors='replace').strip().splitlines()[-3:]
        raise Failed('%s: exit %d: %s' % (command, done.returncode, ' | '.join(tail)))
    return done.stdout.decode(errors='replace')


def reap_orphans(patience=10.0):
    """CPU seconds of adopted processes that end within `patience`; a process that stays is an error."""
    cpu, until = 0.0, time.monotonic() + patience
    while True:
        try:
            pid, _, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return cpu
        if pid:
            cpu += usage.ru_utime + usage.ru_stime
        elif time.monotonic() > until:
            raise Failed('a process that the sample started does not end')
        else:
            time.sleep(0.005)


def sample(contender):
    """Runs the command once; returns (wall, CPU) in seconds."""
    with open(os.path.join(scratch(), 'sample.log'), 'w+b') as log:
        argv = ['bash', '-c', contender.command]
        start = time.monotonic()
        child = subprocess.Popen(argv, cwd=contender.cwd, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.monotonic() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        cpu = usage.ru_utime + usage.ru_stime + reap_orphans()
        if child.returncode != 0:
            log.seek(0)
            tail = log.read().decode(errors='replace').strip().splitlines()[-3:]
            raise Failed('exit %d: %s' % (child.returncode, ' | '.join(tail)))
    return wall, cpu


_scratch = '/tmp'


def scratch(path=None):
    global _scratch
    if path:
        _scratch = path
    return _scratch


def settle(path):
    """Lets what was written before reach the disk, so that one sample does not pay for another."""
    quiet('sync -f %s' % shlex.quote(path))


def measure(label, contenders, settled, samples, seconds, least=3):
    """Takes up to `samples` rounds, each contender once a round in rotating order.

    No round starts after `seconds` once `least` are done, and a contender sits out once it alone has used up a quarter
    of `seconds`: those far behind get fewer samples. What fails is named and left out of the rest.
    """
    for contender in contenders:
        try:
            if contender.warm:
                contender.warm()
        except Failed as error:
            contender.error = str(error)
            say('  %s: %s: %s' % (label, contender.name, error))
    start = time.monotonic()
    for round_number in range(samples):
        if round_number >= least and time.monotonic() - start > seconds:
            break
        turn = round_number % max(len(contenders), 1)
        for contender in contenders[turn:] + contenders[:turn]:
            if contender.error or sum(contender.wall) > seconds / 4:
                continue
            try:
                if contender.before:
                    contender.before()
                settle(settled)
                wall, cpu = sample(contender)
                contender.wall.append(wall)
                contender.cpu.append(cpu)
                if contender.after:
                    contender.after()
            except Failed as error:
                contender.error = str(error)
                say('  %s: %s: %s' % (label, contender.name, error))
    for contender in contenders:
        if contender.wall:
            say('  %-46s %8.3f s wall  %8.3f s cpu  (%d)' % (contender.name, contender.median('wall'),
                                                             contender.median('cpu'), len(contender.wall)))
    return contenders


def remove(*paths):
    for path in paths:
        if os.path.isdir(path) and not os.path.islink(path):
            quiet('rm -rf -- %s' % shlex.quote(path))
        elif os.path.lexists(path):
            os.unlink(path)


_unwanted = set()


def leave_out(programs):
    _unwanted.update(programs)


def have(program):
    return program not in _unwanted and shutil.which(program) is not None
