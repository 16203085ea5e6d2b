#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# The command line itself: wrong usage, help, man pages, output that cannot be written.
source "${VRIFT_SOURCE:?}/test/cli/cli.sh" || exit 1

says 2 'a command is missing' "no command is wrong usage" "$vrift"
says 2 'frobnicate: unknown command' "an unknown command is wrong usage" "$vrift" frobnicate
says 2 'frob\\nnicate: unknown command' "a control character in an argument does not break the line" "$vrift" $'frob\nnicate'
says 2 'an argument is missing' "a missing argument is wrong usage" "$vrift" import
says 2 'extra: one argument too many' "an argument too many is wrong usage" "$vrift" import "$scratch" extra
says 2 '--bogus: unknown option' "an unknown option is named" "$vrift" import --bogus "$scratch"
says 2 '--bogus: unknown option' "an unknown option before the command is named" "$vrift" --bogus import "$scratch"
says 2 '-lZ: unknown option' "an unknown letter among joined ones is named" "$vrift" ls -lZ x
says 2 '--name: needs a value' "an option without its value is wrong usage" "$vrift" import "$scratch" --name
says 2 '--name=: needs a value' "an option with an empty value is wrong usage" "$vrift" import "$scratch" --name=
says 2 '--timeless=1: takes no value' "a value for a flag is wrong usage" "$vrift" import "$scratch" --timeless=1
says 2 '0: not a number of jobs' "no jobs at all is wrong usage" "$vrift" import "$scratch" --jobs 0
says 2 '99999999999999999999: not a number' "absurdly many jobs is wrong usage" "$vrift" import "$scratch" --jobs=99999999999999999999
says 2 '4x: not a number' "a number of jobs with letters is wrong usage" "$vrift" import "$scratch" -j4x
says 2 'symlink: not one of' "an unknown way to link is wrong usage" "$vrift" checkout x "$scratch/d" --link=symlink
says 2 'not a name for a ref' "a bad ref is refused before anything is imported" "$vrift" import "$scratch" --name ../up
says 2 'unknown command of workspaces' "an unknown command of workspaces is wrong usage" "$vrift" workspace shred w
says 2 'needs the NAME' "a workspace without a name is wrong usage" "$vrift" workspace create
says 2 '--workspace NAME is missing' "run without a workspace is wrong usage" "$vrift" run -- true
says 2 'teleport: not a way' "an unknown way to run is wrong usage" "$vrift" run -w w --via=teleport -- true
says 2 'frob: unknown mount option' "an unknown mount option is wrong usage" "$vrift" mount x "$scratch" -o rw,frob
says 2 'has no :PATH' "cat without a path is wrong usage" "$vrift" cat somesnap
says 2 'names no snapshot' "a path without a snapshot is wrong usage" "$vrift" ls :path
says 1 'gc: not built yet' "gc says that it is not built yet" "$vrift" gc
says 1 'push: not built yet' "push says that it is not built yet" "$vrift" push a s3://b
says 1 'fuse: not built yet' "run --via=fuse says that it is not built yet" "$vrift" run -w w --via=fuse -- true
says 2 'needs -o lowerdir=' "an overlay of nothing is wrong usage" "$vrift" mount overlay: "$scratch"
says 1 'not built yet' "verify --repair says that it is not built yet" "$vrift" verify --repair
check "none of that made a store" test ! -e "$VRIFT_STORE"

says 1 'there is no store yet' "a reading command without a store says so" "$vrift" refs
check "and does not make one" test ! -e "$VRIFT_STORE"
says 1 'none of --store' "a store with no place to be is refused" env -u VRIFT_STORE -u HOME "$vrift" refs
mkdir "$HOME" "$scratch/tiny"
check "the default store is made where XDG_CACHE_HOME says, with what is missing above it" \
    env -u VRIFT_STORE XDG_CACHE_HOME="$scratch/cache/sub" "$vrift" import "$scratch/tiny"
check "and lies in its vrift" test -d "$scratch/cache/sub/vrift"
check "without XDG_CACHE_HOME it lies in ~/.cache" env -u VRIFT_STORE "$vrift" import "$scratch/tiny"
check "and is found there" test -d "$HOME/.cache/vrift"
check "a relative XDG_CACHE_HOME is ignored" env -u VRIFT_STORE XDG_CACHE_HOME=relative "$vrift" refs
check "--store wins over VRIFT_STORE" "$vrift" --store "$scratch/named" import "$scratch/tiny"
check "and may come after the command too" "$vrift" refs --store="$scratch/named"

commands=$("$vrift" help | sed -n 's/^  \([a-z]*\)  *[a-z].*/\1/p')
check "help lists the commands" test "$(wc -w <<<"$commands")" -ge 18
for command in $commands; do
    check "help $command tells its usage" grep -q "^usage: vrift $command" <("$vrift" help "$command")
    check "$command --help tells the same" cmp <("$vrift" help "$command") <("$vrift" "$command" --help)
    check "the man page of $command is what the command prints" \
        cmp <("$vrift" help --man "$command") "$VRIFT_SOURCE/docs/man/vrift-$command.1"
done
check "the man page of vrift is what the command prints" cmp <("$vrift" help --man) "$VRIFT_SOURCE/docs/man/vrift.1"
check "no man page is left over" test "$(ls "$VRIFT_SOURCE"/docs/man/*.1 | wc -l)" -eq $(($(wc -w <<<"$commands") + 1))
says 2 'gc: unknown command' "help does not list what is not built" "$vrift" help gc

check "version --json is JSON" python3 -c 'import json, sys; json.load(sys.stdin)["version"]' < <("$vrift" version --json)
check "version needs no store and no place for one" env -u VRIFT_STORE -u HOME "$vrift" version
check "--version is understood" "$vrift" --version
says 1 'standard output: no space left' "a full disk on standard output is a failure" bash -c "'$vrift' help >/dev/full"
cat >"$scratch/to_closed_pipe" <<'PY'
import os, subprocess, sys
read, write = os.pipe()
os.close(read)
sys.exit(subprocess.call(sys.argv[1:], stdout=write))
PY
says 1 'standard output: broken pipe' "a closed pipe on standard output is a failure" \
    python3 "$scratch/to_closed_pipe" "$vrift" help
finish
