#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# Workspaces from the command line: create, run, status, commit, restore.
source "${VRIFT_SOURCE:?}/test/cli/cli.sh" || exit 1

make_tree "$scratch/tree"
base=$("$vrift" import "$scratch/tree" --name base)
json() { python3 -c "import json, os, sys; j = json.load(sys.stdin); sys.exit(not ($1))"; }

check "create makes a workspace of a snapshot" "$vrift" workspace create w base
check "and one of nothing" "$vrift" workspace create none
says 1 'already' "but not the same one twice" "$vrift" workspace create w base
check "list prints bases and names" same "(empty) none"$'\n'"$base w" "$("$vrift" workspace list)"
check "list --json tells where the changes lie" json 'all(os.path.isdir(w["upper"]) for w in j) and len(j) == 2' \
    < <("$vrift" workspace list --json)
check "a new workspace has no changes" same "" "$("$vrift" workspace status w)"
says 2 'not an option' "status has no --name" "$vrift" workspace status w --name x

for via in overlay checkout; do
    name=via-$via
    at=$scratch/at-$via
    mkdir "$at"
    "$vrift" workspace create $name base
    if ! "$vrift" run --workspace $name --at "$at" --via=$via -- true 2>"$scratch/.why"; then
        if [ $via = overlay ]; then
            skip "run --via=overlay" "$(head -n 1 "$scratch/.why")"
            "$vrift" workspace remove $name
            continue
        fi
    fi
    run() { "$vrift" run --workspace $name --at "$at" --via=$via -- "$@"; }
    check "via $via: run shows the tree at PATH" same "$at int" "$(run sh -c 'echo "$(pwd -P) $(head -c 3 src/main.c)"')"
    check_status 7 "via $via: run answers with the command's status" run sh -c 'exit 7'
    check_status 143 "via $via: and 128 + the signal that killed it" run sh -c 'kill -TERM $$'
    check "via $via: arguments come through" same "-x a b --store" "$(run echo -x 'a b' --store)"
    check "via $via: a command writes" run sh -c 'echo made >made && rm src/file1 && echo more >>run.sh && mkdir new && mv src/file2 new/'
    check "via $via: nothing of it is at PATH outside" same "" "$(ls -A "$at")"
    check "via $via: status tells what it did" same "A made A new A new/file2 D src/file1 D src/file2 M run.sh" \
        "$("$vrift" workspace status $name | grep -v '^P' | LC_ALL=C sort | xargs)"
    built=$("$vrift" workspace commit $name --name $name-built)
    check "via $via: commit prints the id alone" grep -qxE '[0-9a-f]{64}' <<<"$built"
    check "via $via: which the ref names" same "$built" "$("$vrift" ref $name-built)"
    check "via $via: the workspace has no changes then" same "" "$("$vrift" workspace status $name)"
    check "via $via: but a new base" grep -qx "$built $name" <("$vrift" workspace list)
    check "via $via: the changes are in the snapshot" same "made" "$("$vrift" cat $name-built:made)"
    check "via $via: diff agrees with what status told" same "A made A new A new/file2 D src/file1 D src/file2 M run.sh" \
        "$("$vrift" diff base $name-built | grep -v '^P' | LC_ALL=C sort | xargs)"
    check "via $via: a command sees them" same "more" "$(run tail -n 1 run.sh)"
    check "via $via: a command changes again" run sh -c 'echo junk >junk; rm -r src'
    check "via $via: discard" "$vrift" workspace discard $name
    check "via $via: throws that away" same "" "$("$vrift" workspace status $name)"
    check "via $via: for commands too" run test -e src/main.c -a ! -e junk
    "$vrift" run --workspace $name --at "$at" --via=$via -- sh -c 'echo ready >"$0"; sleep 20' "$scratch/ready-$via" &
    runner=$!
    for _ in $(seq 100); do [ -e "$scratch/ready-$via" ] && break; sleep 0.05; done
    says 1 '(in use|busy)' "via $via: no commit while a command runs" "$vrift" workspace commit $name
    says 1 '(in use|busy)' "via $via: nor remove" "$vrift" workspace remove $name
    kill -TERM $runner
    wait $runner
    check "via $via: remove" "$vrift" workspace remove $name
    check "via $via: leaves the snapshot" "$vrift" ls $name-built
    says 1 'no such workspace' "via $via: and no workspace" "$vrift" workspace status $name
    check "via $via: nothing is mounted" bash -c "! grep -qF ' $scratch' /proc/self/mounts"
done
check_status 127 "run answers 127 without such a command" "$vrift" run -q -w w -- "$scratch/no-such-command"
says 1 'no such workspace|nosuch' "run in a workspace that is not there" "$vrift" run -w nosuch -- true

check "an empty workspace can be built up" "$vrift" run -q -w none -- sh -c 'mkdir -p a/b && echo x >a/b/c'
check "and committed" "$vrift" workspace commit none --name made-of-nothing
check "and restored" "$vrift" checkout made-of-nothing "$scratch/nothing"
check "with what was made" same x "$(cat "$scratch/nothing/a/b/c")"
check "remove takes it away" "$vrift" workspace remove none
check "the store verifies" "$vrift" verify
check "stats counts workspaces" json 'j["workspaces"] == 1' < <("$vrift" stats --json)
finish
