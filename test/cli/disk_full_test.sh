#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# A full disk: one clear line, nothing half done. In a mount namespace of its own, on small tmpfs mounts.
if [ -z "${VRIFT_INSIDE:-}" ]; then
    source "${VRIFT_SOURCE:?}/test/support/tap.sh"
    rights=-m
    [ "$(id -u)" -eq 0 ] || rights=-rm
    if ! unshare $rights sh -c 'mount -t tmpfs -o size=1m none /mnt' 2>/dev/null; then
        skip "a full disk" "no mount namespace with a tmpfs in it is to be had"
        finish
    fi
    VRIFT_INSIDE=1 exec unshare $rights bash "$0"
fi
source "${VRIFT_SOURCE:?}/test/cli/cli.sh" || exit 1

mkdir "$scratch/disk" "$scratch/tree" "$scratch/large"
make_tree "$scratch/tree"
for i in 1 2 3 4 5 6 7 8; do head -c 1500000 /dev/urandom >"$scratch/large/f$i"; done
python3 -c 'import os, sys
for i in range(3000): open("%s/s%d" % (sys.argv[1], i), "wb").write(os.urandom(1000))' "$scratch/large"
mount -t tmpfs -o size=6m none "$scratch/disk"
at_exit 'umount "$scratch/disk"'

export VRIFT_STORE=$scratch/disk/store
id=$("$vrift" import "$scratch/tree" --name good)
says 1 'no space left' "an import that does not fit" "$vrift" import "$scratch/large" --name large
check "publishes nothing" same "$id good" "$("$vrift" refs)"
check "and no snapshot" same "$id" "$("$vrift" refs --all)"
check "leaves no temporary file" grep -qE '"temporary_files": 0' <("$vrift" stats --json)
check "leaves a store that verifies" "$vrift" verify
check "and from which the tree comes back" "$vrift" checkout good "$scratch/back"
check "as it was" same_trees "$scratch/tree" "$scratch/back" --links
says 1 'no space left' "a second import that does not fit" "$vrift" import "$scratch/large" --jobs 4
check "leaves a store that verifies too" "$vrift" verify

check "a workspace can be made" "$vrift" workspace create w good
upper=$("$vrift" workspace list --json | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["upper"])')
head -c 1500000 /dev/urandom >"$upper/new"
dd if=/dev/zero of="$scratch/disk/filler" bs=4096 2>/dev/null || true
wanted=$("$vrift" workspace status w)
says 1 'no space left' "a commit that does not fit" "$vrift" workspace commit w
check "leaves the workspace as it was" same "$wanted" "$("$vrift" workspace status w)"
rm "$scratch/disk/filler"
check "which can be committed once there is room" "$vrift" workspace commit w --name built
check "with what was in it" cmp <("$vrift" cat built:new | wc -c) <(echo 1500000)
check "and the store verifies" "$vrift" verify

mkdir "$scratch/small"
mount -t tmpfs -o size=64k none "$scratch/small"
at_exit 'umount "$scratch/small"'
says 1 'no space left' "a checkout that does not fit" "$vrift" checkout good "$scratch/small/dest"
check "leaves nothing" same "" "$(ls -A "$scratch/small")"
mkdir "$scratch/small/dest"
says 1 'no space left' "a checkout into an empty directory that does not fit" "$vrift" checkout good "$scratch/small/dest"
check "leaves it empty" same dest "$(cd "$scratch/small" && find . -mindepth 1 -printf '%P\n')"
says 1 'no space left' "a clone that does not fit" "$vrift" clone "$scratch/tree" "$scratch/small/copy"
check "leaves nothing either" test ! -e "$scratch/small/copy"
finish
