# SPDX-License-Identifier: Apache-2.0 OR MIT
"""The same C build in a workspace, natively, and on other overlays."""
import os
from shlex import quote as q

import trees
from harness import Contender, Failed, have, measure, quiet, remove

MAKE = 'make -s -j2 prog'


def build(fs, vrift, report, samples, seconds, quick):
    project, plain, up = fs.path('project'), fs.path('plain'), fs.path('overlay')
    store = fs.path('build-store')
    sources = 40 if quick else 200
    trees.project(project, sources)

    def command(*words):
        return 'VRIFT_STORE=%s %s %s' % (q(store), q(vrift), ' '.join(words))

    # The file cache and the compiler are warm for all.
    quiet('cp -a %s %s && make -C %s -s -j2 prog' % (q(project), q(plain), q(plain)))
    snapshot = quiet(command('import', q(project))).strip().splitlines()[-1]

    def fresh_workspace():
        quiet('%s 2>/dev/null || true' % command('workspace', 'remove', 'bench'))
        quiet(command('workspace', 'create', 'bench', snapshot))

    def fresh_plain():
        remove(plain)
        quiet('cp -a %s %s' % (q(project), q(plain)))

    def fresh_overlay():
        remove(up)
        quiet('mkdir -p %s' % ' '.join(q(os.path.join(up, part)) for part in ('upper', 'work', 'merged')))

    def over(mount):
        merged = q(os.path.join(up, 'merged'))
        options = 'lowerdir=%s,upperdir=%s,workdir=%s' % tuple(
            q(path) for path in (project, os.path.join(up, 'upper'), os.path.join(up, 'work')))
        return '%s -o %s %s && (cd %s && %s); s=$?; umount %s; exit $s' % (mount, options, merged, merged, MAKE, merged)

    contenders = [
        Contender('run --via=overlay', command('run', '--workspace', 'bench', '--via=overlay', '--', MAKE),
                  subject=True, before=fresh_workspace,
                  notes='mounting and unmounting included; CPU counts the FUSE server'),
        Contender('run --via=checkout', command('run', '--workspace', 'bench', '--via=checkout', '--', MAKE),
                  subject=True, before=fresh_workspace, notes='restoring and ingesting included'),
        Contender('native', 'cd %s && %s' % (q(plain), MAKE), before=fresh_plain,
                  notes='a plain directory on the same file system; no isolation, nothing to commit from'),
        Contender('kernel overlayfs', over('mount -t overlay overlay'), before=fresh_overlay,
                  notes='over a plain directory; mounting and unmounting included'),
    ]
    if have('fuse-overlayfs'):
        contenders.append(Contender('fuse-overlayfs', over('fuse-overlayfs'), before=fresh_overlay,
                                    notes='over a plain directory; mounting and unmounting included; CPU counts the '
                                          'server'))
    measure('build', contenders, fs.top, samples, seconds)
    report.compare('build', '%d C files, 300 headers, make -j2' % (sources + 1), fs.kind, contenders)
    if not contenders[0].error:
        try:
            same_program(command, plain, fs.path('built'))
        except Failed as error:
            contenders[0].error = str(error)


def same_program(command, plain, out):
    """The workspace must hold the program that the native build made."""
    text = command('run', '--workspace', 'bench', '--via=checkout', '--', 'cp', 'prog', q(out))
    quiet('%s && cmp %s %s' % (text, q(out), q(os.path.join(plain, 'prog'))))
