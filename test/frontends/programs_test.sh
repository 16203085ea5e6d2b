#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# Real programs on a mount of memory: what they print and leave is what they print and leave on a tmpfs at the same path,
# in every attribute but the numbers of inodes and the times that nobody set.
source "${VRIFT_SOURCE:?}/test/support/tap.sh"
source "$VRIFT_SOURCE/test/support/fuse_user.sh"
scratch
chmod 755 "$scratch"
cp "$VRIFT_BUILD/bin/vrift" "$scratch/vrift"
at="$scratch/at"
mkdir "$at"

run_job() {
    (cd "$at" && exec env -i PATH="$PATH" VRIFT_SOURCE="$VRIFT_SOURCE" timeout -k 5 120 bash "$VRIFT_SOURCE/test/frontends/parts/program_jobs.sh" "$1") >"$2.said" 2>&1
    echo "status $?" >>"$2.said"
    python3 "$VRIFT_SOURCE/test/support/dump_tree.py" --acls --no-times --directory-links "$at" >"$2.tree" 2>&1
}
# The job on a tmpfs and on a mount of memory, one after the other at the same path.
same() {
    mount -t tmpfs -o mode=1777,nosuid,dev vrift-test "$at"
    run_job "$1" "$scratch/kernel"
    umount "$at"
    "$scratch/vrift" mount mem: "$at" -o allow_other,dev || return 1
    run_job "$1" "$scratch/ours"
    "$scratch/vrift" umount "$at" || return 1
    diff "$scratch/kernel.said" "$scratch/ours.said" && diff "$scratch/kernel.tree" "$scratch/ours.tree" || return 1
    # Both may have failed alike.
    grep -q '^status 0$' "$scratch/ours.said" || { cat "$scratch/ours.said"; return 1; }
}
# job NAME WHAT PROGRAM...
job() {
    local program
    for program in "${@:3}"; do
        if ! command -v "$program" >/dev/null; then
            skip "$2" "there is no $program"
            return
        fi
    done
    check "$2" same "$1"
}

if [ -n "$no_fuse" ] || [ "$(id -u)" -ne 0 ] || ! unshare -m true 2>/dev/null; then
    skip "programs do the same on a mount as on a tmpfs" "${no_fuse:-needs root, and mount namespaces}"
    finish
fi
at_exit 'umount -l "$at" 2>/dev/null'
job git "git clones, commits, merges, stashes, collects its garbage, and finds nothing wrong" git
job build "cmake and ninja build, and build nothing the second time" cmake ninja gcc
job sqlite "sqlite keeps its databases whole, with all its journals and two writers at a time" sqlite3 python3
job copies "cp -a, rsync -aHAX and tar --xattrs --acls make copies that are the same in everything" rsync tar setfacl setfattr
job editors "editors save in all the ways they have" patch flock
job contents "a file written, mapped, cut, punched and copied in all ways at once holds what it should" python3
job maps "mappings agree with reads and writes, and programs run" python3 gcc
finish
