# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Single operations in process: attributes, opening a snapshot, hashing. The C programs do the interleaving."""
import hashlib
import json
import math
import os
import time
from shlex import quote as q
from statistics import median

from harness import Contender, have, measure, quiet, say


def stat(fs, programs, report, rounds):
    text = quiet('%s %s %s %d' % (q(os.path.join(programs, 'stat_bench')), q(fs.path('stat-tree')),
                                  q(fs.path('stat-store')), rounds))
    for row in json.loads(text):
        say('  %-38s %-16s %8.1f ns   kernel %8.1f ns' % (row['case'], row['subject'], row['subject_ns'],
                                                         row['kernel_ns']))
        report.add('stat', row['case'], 'vrift_statat on ' + row['subject'], 'kernel fstatat', 'ns',
                   row['subject_ns'], row['kernel_ns'], 'lower', fs.kind, row['rounds'])


def cache(fs, programs, report, quick, rounds):
    """Listings with attributes, two threads, memory an entry, the budget over a sweep."""
    text = quiet('%s %s %d %d' % (q(os.path.join(programs, 'cache_bench')), q(fs.path('cache-dir')), rounds,
                                  400_000 if quick else 1_500_000))
    for row in json.loads(text):
        say('  %-44s %12.1f %-8s %s %12.1f' % (row['case'], row['value'], row['unit'], row['peer'], row['peer_value']))
        report.add('cache', row['case'], row['subject'], row['peer'], row['unit'], row['value'], row['peer_value'],
                   row['better'], fs.kind, row['samples'])


def open_snapshots(fs, vrift, programs, report, quick, rounds):
    """Snapshots of 10 k, 100 k and 1 M empty files, 1000 a directory."""
    sizes = [1000, 10000] if quick else [10_000, 100_000, 1_000_000]
    store, arguments, trees = fs.path('open-store'), [], {}
    for size in sizes:
        top = fs.path('open-%d' % size)
        trees[size] = top
        for directory in range(size // 1000):
            path = os.path.join(top, 'dir-%d' % directory)
            os.makedirs(path)
            for number in range(1000):
                os.close(os.open('%s/file-%d' % (path, number), os.O_CREAT | os.O_WRONLY, 0o644))
        start = time.monotonic()
        snapshot = quiet('VRIFT_STORE=%s %s import %s' % (q(store), q(vrift), q(top))).strip().splitlines()[-1]
        say('  imported %d empty files in %.2f s' % (size, time.monotonic() - start))
        arguments += [str(size), snapshot, 'dir-%d/file-500' % (size // 2000)]
    text = quiet(' '.join(q(word) for word in [os.path.join(programs, 'open_bench'), store, str(rounds)] + arguments))
    results = json.loads(text)
    base = results[0]
    for row in results:
        say('  %8d entries: store open %7.1f us, snapshot open %7.1f us, first lookup %7.1f us' % (
            row['entries'], row['store_us'], row['open_us'], row['lookup_us']))
    for row in results[1:]:
        for field, case in (('open_us', 'open a snapshot'), ('lookup_us', 'first lookup by path')):
            report.add('open', '%s of %d entries' % (case, row['entries']), 'warm', 'the same of %d' % base['entries'],
                       'us', row[field], base[field], 'lower', fs.kind, rounds)
    report.add('open', 'open a snapshot of %d entries' % results[-1]['entries'], 'warm', 'target of 1000 us', 'us',
               results[-1]['open_us'], 1000, 'lower', fs.kind, rounds)
    for field in ('open_us', 'lookup_us'):
        say('  %s grows with the entries to the power of %.3f' % (
            field, exponent([(row['entries'], row[field]) for row in results])))
    against_processes(fs, vrift, store, arguments, trees[sizes[1]], report, sizes[1], 5)


def exponent(points):
    """The slope of a line through the logarithms: 0 is flat, 1 is linear."""
    xs, ys = [math.log(x) for x, _ in points], [math.log(y) for _, y in points]
    mx, my = sum(xs) / len(xs), sum(ys) / len(ys)
    return sum((x - mx) * (y - my) for x, y in zip(xs, ys)) / sum((x - mx) ** 2 for x in xs)


def against_processes(fs, vrift, store, arguments, tree, report, size, samples):
    """One path looked up by a fresh process, 20 times: the cost of opening as a command line feels it."""
    git, ostree = fs.path('open-git'), fs.path('open-ostree')
    snapshot, path = arguments[4], arguments[5]
    again = 'for i in {1..20}; do %s >/dev/null || exit 1; done'
    contenders = [Contender('vrift stat', again % 'VRIFT_STORE=%s %s stat %s:%s' % (q(store), q(vrift), snapshot, path),
                            subject=True)]
    if have('git'):
        quiet('git init -q --bare {0} && git --git-dir={0} config core.bare false && git --git-dir={0} --work-tree={1} '
              'add -A && git --git-dir={0} --work-tree={1} -c user.name=b -c user.email=b@example.org commit -q -m t'
              .format(q(git), q(tree)))
        contenders += [
            Contender('git ls-tree', again % 'git --git-dir=%s ls-tree HEAD %s' % (q(git), path),
                      notes='by tree objects'),
            Contender('git ls-files', again % 'git --git-dir=%s --work-tree=%s ls-files --error-unmatch %s' % (
                q(git), q(tree), path), cwd=tree, notes='by the index, which it reads whole')]
    if have('ostree'):
        quiet('mkdir {0} && ostree --repo={0} init --mode=bare && ostree --repo={0} commit --fsync=false --branch=b '
              '--tree=dir={1}'.format(q(ostree), q(tree)))
        contenders.append(Contender('ostree ls', again % 'ostree --repo=%s ls b /%s' % (q(ostree), path)))
    measure('open', contenders, fs.top, samples, 60)
    report.compare('open', '20 processes look one of %d up' % size, fs.kind, contenders)


def digest(programs, report, rounds):
    """BLAKE3 against Python's SHA-256, which is OpenSSL's (with the processor's SHA instructions where it has them)."""
    for size in (1 << 10, 4 << 10, 64 << 10, 1 << 20):
        ours, theirs, data = [], [], os.urandom(size)
        for _ in range(rounds):
            row = json.loads(quiet('%s %d' % (q(os.path.join(programs, 'hash_bench')), size)))
            ours.append(row['gb_per_s'])
            kind = row['kind']
            count, start = 0, time.thread_time()
            while time.thread_time() - start < 0.05:
                for _ in range(max((256 << 10) // size, 1)):
                    hashlib.sha256(data).digest()
                    count += 1
            theirs.append(size * count / (time.thread_time() - start) / 1e9)
        say('  %8d bytes: %s %.2f GB/s, SHA-256 %.2f GB/s' % (size, kind, median(ours), median(theirs)))
        report.add('hash', '%d bytes, one thread' % size, kind, 'SHA-256 (OpenSSL)', 'GB/s', median(ours),
                   median(theirs), 'higher', 'memory', rounds)
