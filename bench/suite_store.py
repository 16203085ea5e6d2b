# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Storing a tree and restoring it, against what people use for that today."""
from shlex import quote as q

from harness import Contender, Failed, have, measure, quiet, remove

GIT = 'git -c gc.auto=0 -c user.name=b -c user.email=b@example.org -c safe.directory=*'


class Bench:
    """One file system with the tree on it, and the repositories of each peer, made once."""

    def __init__(self, fs, tree, vrift):
        self.fs, self.tree, self.vrift = fs, tree, vrift
        self.source = fs.path('tree')
        self.store, self.ostree, self.git = fs.path('store'), fs.path('ostree'), fs.path('git')
        self.casync, self.castr = fs.path('tree.caidx'), fs.path('tree.castr')
        self.tar, self.out = fs.path('tree.tar'), fs.path('out')
        self.snapshot = None

    def command(self, *words):
        return 'VRIFT_STORE=%s %s %s' % (q(self.store), q(self.vrift), ' '.join(words))

    # What a sample writes into is made fresh, outside of the clock.

    def fresh_store(self):
        remove(self.store)

    def fresh_ostree(self):
        remove(self.ostree)
        quiet('mkdir %s && ostree --repo=%s init --mode=bare' % (q(self.ostree), q(self.ostree)))

    def fresh_git(self, where=None):
        where = where or self.git
        remove(where)
        quiet('{0} init -q --bare {1} && {0} --git-dir={1} config core.bare false'.format(GIT, q(where)))

    def fresh_casync(self):
        remove(self.casync, self.castr)

    def no_out(self):
        remove(self.out)

    def git_command(self, words, where=None):
        return '%s --git-dir=%s --work-tree=%s %s' % (GIT, q(where or self.git), q(self.source), words)

    def ostree_commit(self, options=''):
        return 'ostree --repo=%s commit %s --branch=b --tree=dir=%s' % (q(self.ostree), options, q(self.source))

    def casync_make(self):
        return 'casync make --store=%s %s %s' % (q(self.castr), q(self.casync), q(self.source))

    # What restoring starts from, taken over from ingest where that ran on this file system.

    def stored(self):
        if not self.snapshot:
            self.snapshot = quiet(self.command('import', q(self.source))).strip().splitlines()[-1]
        return self.snapshot

    def committed_ostree(self):
        if not quiet('ostree --repo=%s refs 2>/dev/null || true' % q(self.ostree)).strip():
            self.fresh_ostree()
            quiet(self.ostree_commit('--fsync=false'))

    def committed_git(self):
        if not quiet('test -d %s || exit 0; %s 2>/dev/null || true' % (
                q(self.git), self.git_command('rev-parse --verify -q HEAD'))).strip():
            if 'there' not in quiet('test -s %s/index && echo there || true' % q(self.git)):
                self.fresh_git()
                quiet(self.git_command('add -A -f'))
            quiet(self.git_command('commit -q -m tree'))

    def made_casync(self):
        if 'there' not in quiet('test -s %s && echo there || true' % q(self.casync)):
            self.fresh_casync()
            quiet(self.casync_make())

    def made_tar(self):
        if 'there' not in quiet('test -s %s && echo there || true' % q(self.tar)):
            quiet('tar -C %s -cf %s .' % (q(self.source), q(self.tar)))

    def prepare_peers(self):
        for program, prepare in (('ostree', self.committed_ostree), ('git', self.committed_git),
                                 ('casync', self.made_casync)):
            if have(program):
                prepare()


def available(contenders):
    """Leaves out the peers that this machine does not have; script/bench has named them."""
    return [contender for contender in contenders if contender.subject or have(contender.command.split()[0])]


def ingest(bench, report, samples, seconds):
    b, case = bench, 'store ' + bench.tree.name
    loose = b.fs.path('git-uncompressed')
    contenders = [
        Contender('vrift import', b.command('import', q(b.source)), subject=True, before=b.fresh_store,
                  notes='fresh store; all written, one syncfs, then the name (durability batch); BLAKE3, packs, '
                        'uncompressed; as many threads as processors'),
        Contender('ostree commit', b.ostree_commit(), before=b.fresh_ostree,
                  notes='bare repository, SHA-256, uncompressed; its default: fsync of every object; keeps no mtime'),
        Contender('ostree commit --fsync=false', b.ostree_commit('--fsync=false'), before=b.fresh_ostree,
                  notes='no sync at all, where ours does one'),
        Contender('git add', b.git_command('add -A -f'), before=b.fresh_git,
                  notes='SHA-1, zlib; git defaults: loose objects are not synced; keeps no mtime, owner or full mode'),
        Contender('git add (no compression)', b.git_command('-c core.compression=0 add -A -f', loose),
                  before=lambda: b.fresh_git(loose),
                  notes='as git add, but stores uncompressed as ours does; no sync'),
        Contender('casync make', b.casync_make(), before=b.fresh_casync,
                  notes='chunks, SHA-512/256, zstd; no sync'),
        Contender('cp -a', 'cp -a %s %s' % (q(b.source), q(b.out)), before=b.no_out,
                  notes='a copy, not a store: no hash, no deduplication, clones on XFS; no sync'),
        Contender('cp -a; sync -f', 'cp -a %s %s && sync -f %s' % (q(b.source), q(b.out), q(b.out)), before=b.no_out,
                  notes='a copy that is as durable as ours'),
        Contender('tar c', 'tar -C %s -cf %s .' % (q(b.source), q(b.tar)), before=lambda: remove(b.tar),
                  notes='one file; no hash, no deduplication; no sync'),
    ]
    measure('ingest', available(contenders), b.fs.top, samples, seconds)
    report.compare('ingest', case, b.fs.kind, contenders)
    remove(b.out, loose)

    # Again, nothing changed: what a build tool does most of the time.
    b.stored()
    b.prepare_peers()
    again = [
        Contender('vrift import', b.command('import', q(b.source)), subject=True,
                  notes='the tree is in the store already'),
        Contender('git add', b.git_command('add -A -f'), notes='index is warm'),
        Contender('git status', b.git_command('status --porcelain --ignored=no'), notes='only compares'),
        Contender('ostree commit --fsync=false', b.ostree_commit('--fsync=false')),
        Contender('casync make', b.casync_make()),
    ]
    measure('ingest again', available(again), b.fs.top, samples, seconds / 3)
    report.compare('ingest', 'store again, unchanged', b.fs.kind, again)


def restore(bench, report, samples, seconds):
    b, fs = bench, bench.fs.kind
    b.stored()
    b.made_tar()
    b.prepare_peers()
    snapshot, out = b.snapshot, q(b.out)

    def warm_hardlink():
        b.no_out()
        quiet(b.command('checkout', snapshot, out, '--link=hardlink'))

    def clean_worktree():
        b.no_out()
        quiet('%s worktree prune' % b.git_command(''))

    shared = [
        Contender('checkout --link=hardlink', b.command('checkout', snapshot, out, '--link=hardlink'), subject=True,
                  before=b.no_out, warm=warm_hardlink,
                  notes='the second such checkout: the first one unpacked small files. Files are the inodes of the store: '
                        'its times, 0444 or 0555. Directories get their own times, modes and owners'),
        Contender('ostree checkout -H', 'ostree --repo=%s checkout -H b %s' % (q(b.ostree), out), before=b.no_out,
                  notes='files are the inodes of the repository: modes and owners kept, times all 0; no sync'),
        Contender('cp -al', 'cp -al %s %s' % (q(b.source), out), before=b.no_out,
                  notes='shares the inodes of a tree that lies open to changes; all attributes kept'),
    ]
    measure('restore, shared', available(shared), b.fs.top, samples, seconds / 2)
    report.compare('restore', 'shared inodes, ' + b.tree.name, fs, shared)
    b.no_out()

    copies = [
        Contender('checkout --link=smart', b.command('checkout', snapshot, out, '--link=smart'), subject=True,
                  before=b.no_out, notes='private files with times, modes, owners, xattrs'),
        Contender('checkout --link=copy', b.command('checkout', snapshot, out, '--link=copy'), subject=True,
                  before=b.no_out, notes='private files with times, modes, owners, xattrs'),
        Contender('cp -a', 'cp -a %s %s' % (q(b.source), out), before=b.no_out,
                  notes='coreutils 9 clones where the file system can: on XFS this is --reflink=auto'),
        Contender('tar x', 'mkdir %s && tar -C %s -xf %s' % (out, out, q(b.tar)), before=b.no_out,
                  notes='from one uncompressed file; --no-same-owner does not apply to root'),
        Contender('git worktree add', '%s worktree add -q --detach %s HEAD' % (
            b.git_command('').replace('--work-tree=%s ' % q(b.source), ''), out), before=clean_worktree,
                  notes='inflates; sets no times or owners'),
        Contender('casync extract', 'casync extract --store=%s %s %s' % (q(b.castr), q(b.casync), out),
                  before=b.no_out, notes='decompresses zstd; reflinks off'),
        Contender('ostree checkout -C', 'ostree --repo=%s checkout -C b %s' % (q(b.ostree), out), before=b.no_out,
                  notes='copies; times are all 0'),
    ]
    if fs.startswith('xfs'):
        copies.append(Contender('cp -a --reflink=always', 'cp -a --reflink=always %s %s' % (q(b.source), out),
                                before=b.no_out))
    measure('restore, private', available(copies), b.fs.top, samples, seconds / 2)
    report.compare('restore', 'private files, ' + b.tree.name, fs, copies)
    b.no_out()
    try:
        equal(b)
    except Failed as error:
        copies[0].error = 'the restored tree differs: %s' % error


def equal(b):
    """A restore that is fast and wrong is no result: names, contents, modes and times must be the source's."""
    quiet(b.command('checkout', b.snapshot, q(b.out), '--link=smart'))
    listing = "find . -printf '%%P %%y %%m %%s %%T@ %%l\\n' | sed -E 's/^(.* d [0-7]+) [0-9]+ /\\1 /' | LC_ALL=C sort"
    quiet('diff -rq --no-dereference %s %s && cmp <(cd %s && %s) <(cd %s && %s)' % (
        q(b.source), q(b.out), q(b.source), listing % (), q(b.out), listing % ()))
    b.no_out()
