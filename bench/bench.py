#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Measures libvrift against its peers. Started by script/bench, which builds first and gives us our own mounts."""
import argparse
import os
import sys
import tempfile
import time

import filesystems
import harness
import suite_build
import suite_micro
import suite_store
import trees
from harness import Failed, say
from report import Report

BENCHES = {
    'stat': 'attributes in process, hot and of names that do not exist, against the kernel',
    'cache': 'listings with attributes, two threads, memory of an entry, the budget over 1.5 M files',
    'open': 'opening a snapshot of 10 k, 100 k and 1 M entries, and the first lookup',
    'hash': 'BLAKE3 against SHA-256',
    'build': 'a C build in a workspace against native and other overlays',
    'ingest': 'storing the kernel source against ostree, git, casync, cp and tar',
    'restore': 'restoring it, with shared inodes and as private files',
}
ON_EACH = ('build', 'ingest', 'restore')


def arguments():
    parser = argparse.ArgumentParser(prog='script/bench', description='Measures libvrift against its peers.')
    parser.add_argument('names', nargs='*', metavar='NAME', help='benchmarks; default: all')
    parser.add_argument('--list', action='store_true', help='names the benchmarks and ends')
    parser.add_argument('--quick', action='store_true', help='small trees and few samples: does it work?')
    parser.add_argument('--fs', default='ext4,xfs,tmpfs', help='file systems for build, ingest and restore')
    parser.add_argument('--samples', type=int, help='samples of each contender (default 5, 3 with --quick)')
    parser.add_argument('--seconds', type=float, default=200,
                        help='no new round after this long, once there are three; per benchmark and file system')
    parser.add_argument('--without', default='', metavar='PEER,...', help='peers to leave out')
    parser.add_argument('--images', help='where the loop images lie; default: in memory if there is enough, else $TMPDIR')
    parser.add_argument('--keep', action='store_true', help='keeps the rows of an earlier run that this one leaves out')
    parser.add_argument('--build', required=True, help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.images = args.images or filesystems.place_for_images(16 if not args.quick else 4)
    unknown = [name for name in args.names if name not in BENCHES]
    if unknown:
        parser.error('no benchmark is called %s; there are: %s' % (', '.join(unknown), ' '.join(BENCHES)))
    return args


def micro(args, report, name, kind, programs, vrift):
    """What is measured in process."""
    fs = filesystems.open_file_system(kind, args.images, 2 if kind == 'ext4' else 12)
    try:
        say('%s on %s' % (name, fs.kind))
        if name == 'stat':
            suite_micro.stat(fs, programs, report, 5 if args.quick else 21)
        elif name == 'cache':
            suite_micro.cache(fs, programs, report, args.quick, 5 if args.quick else 21)
        elif name == 'open':
            suite_micro.open_snapshots(fs, vrift, programs, report, args.quick, 5 if args.quick else 21)
        else:
            suite_micro.digest(programs, report, 5)
    finally:
        fs.close()


def on_file_system(args, report, names, kind, vrift, tree, samples):
    fs = filesystems.open_file_system(kind, args.images, 4 if args.quick else 14)
    try:
        if 'build' in names:
            say('build on %s' % fs.kind)
            suite_build.build(fs, vrift, report, samples, args.seconds, args.quick)
        if 'ingest' in names or 'restore' in names:
            bench = suite_store.Bench(fs, tree, vrift)
            tree.put(bench.source)
            say('%s: %d files, %.0f MB' % (tree.name, tree.files, tree.bytes / 1e6))
            for name, run in (('ingest', suite_store.ingest), ('restore', suite_store.restore)):
                if name in names:
                    say('%s on %s' % (name, fs.kind))
                    run(bench, report, samples, args.seconds)
    finally:
        fs.close()


def main():
    args = arguments()
    if args.list:
        for name, what in BENCHES.items():
            print('%-8s %s' % (name, what))
        return 0
    names = args.names or list(BENCHES)
    out = os.path.join(args.build, 'bench')
    programs, vrift = os.path.join(args.build, 'release', 'bin'), os.path.join(args.build, 'release', 'bin', 'vrift')
    os.makedirs(out, exist_ok=True)
    harness.adopt_orphans()
    harness.leave_out(args.without.split(','))
    samples = args.samples or (3 if args.quick else 5)
    report, troubles, start = Report(), [], time.monotonic()
    with tempfile.TemporaryDirectory(prefix='vrift-bench-') as scratch:
        harness.scratch(scratch)

        def attempt(what, work):
            try:
                work()
            except Failed as error:
                troubles.append('%s: %s' % (what, error))
                say('  %s' % troubles[-1])

        # The kernel is at its best on tmpfs for what exists and on ext4, which keeps negative entries, for what does not.
        for name, kinds in (('stat', ['tmpfs', 'ext4']), ('cache', ['tmpfs']), ('open', ['tmpfs']), ('hash', ['tmpfs'])):
            for kind in filesystems.wanted(kinds) if name in names else []:
                attempt(name, lambda: micro(args, report, name, kind, programs, vrift))
        kinds = filesystems.wanted(args.fs.split(','))
        if any(name in names for name in ON_EACH):
            tree = trees.Tree(args.quick, os.path.join(out, 'cache'))
            for kind in kinds:
                for group in (['build'], ['ingest', 'restore']):
                    chosen = [name for name in group if name in names]
                    # A build is the compiler's time: one disk file system and tmpfs show the rest.
                    if chosen and not (group == ['build'] and kind == 'xfs' and 'ext4' in kinds):
                        attempt('%s on %s' % (' and '.join(chosen), kind),
                                lambda: on_file_system(args, report, chosen, kind, vrift, tree, samples))
    if args.keep:
        report.keep(os.path.join(out, 'results.json'))
    report.write_json(os.path.join(out, 'results.json'))
    report.write_svg(os.path.join(out, 'results.svg'))
    report.write_markdown(os.path.join(out, 'results.md'))
    report.write_commands(os.path.join(out, 'commands.txt'), args.keep)
    print(report.table())
    troubles += report.failed()
    for trouble in troubles:
        print('FAILED: %s' % trouble)
    print('%d comparisons in %.0f s: %s/results.json, results.svg, results.md; the commands behind them, and what is '
          'not like for like, in commands.txt' % (len(report.rows), time.monotonic() - start, out))
    return 1 if troubles else 0


if __name__ == '__main__':
    sys.exit(main())
