#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# vrift run: every way, as root and as an ordinary user; and what is left when somebody is killed in the middle.
source "${VRIFT_SOURCE:?}/test/support/tap.sh"
source "$VRIFT_SOURCE/test/support/fuse_user.sh"
scratch
chmod 755 "$scratch"
cp "$VRIFT_BUILD/bin/vrift" "$scratch/vrift"
cp "$VRIFT_SOURCE/test/support/dump_tree.py" "$scratch/dump_tree.py"
unset VRIFT_STORE

# -- A small project, with what is unusual ----------------------------------------------------------------------------

make_source() {
    mkdir -p "$1/src" "$1/empty" "$1/deep/er"
    printf '#define ANSWER 42\n' >"$1/src/answer.h"
    printf '#include "answer.h"\n#include <stdio.h>\nint main(void) { return printf("%%d\\n", ANSWER) < 0; }\n' >"$1/src/main.c"
    printf 'prog: src/main.c src/answer.h\n\tcc -o prog src/main.c\n' >"$1/Makefile"
    printf '#!/bin/sh\necho "script $*"\n' >"$1/script"
    chmod 755 "$1/script"
    ln -s src/answer.h "$1/link"
    ln "$1/src/answer.h" "$1/deep/er/hard"
    echo secret >"$1/closed"
    chmod 600 "$1/closed"
    printf 'end' | dd of="$1/sparse" bs=1 seek=3000000 conv=notrunc 2>/dev/null
    setfattr -n user.note -v hello "$1/Makefile" 2>/dev/null
    mkfifo "$1/fifo"
    touch -d '1960-01-01 00:00:00.123456789' "$1/empty"
}

# -- Helpers: $who is root or user, $via the way, $store the store of that one ----------------------------------------

become_who() {
    if [ "$who" = user ]; then become_user "$@"; else exec "$@"; fi
}
vrift() {
    (become_who timeout -k 5 120 "$scratch/vrift" --store "$store" "$@")
}
run_in() {
    vrift run -q --via="$via" --workspace "$@"
}
run() {
    run_in w "$@"
}
run_ignoring_children() {
    (become_who timeout -k 1 20 python3 -c 'import os, signal, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
os.execv(sys.argv[1], sys.argv[1:])' "$scratch/vrift" --store "$store" run -q --via="$via" --workspace w "$@")
}
fresh() {
    vrift workspace remove "$1" >/dev/null 2>&1
    vrift workspace create "$@" >/dev/null
}
prints() {
    local said
    said=$("${@:2}" 2>&1)
    [ "$said" = "$1" ] || { echo "printed: $said"; return 1; }
}
run_from() {
    (cd "$1" && run "${@:2}")
}
nothing_left() {
    for _ in $(seq 150); do
        pgrep -f "^$scratch/vrift" >/dev/null || break
        sleep 0.1
    done
    ! pgrep -af "^$scratch/vrift" && no_new_mounts "$scratch/mounts"
}

# Starts a run that writes its process's id and goes on for a while; $supervisor and $command are the two processes.
start_long_run() {
    rm -f "$scratch/$who-pids/pid"
    (become_who "$scratch/vrift" --store "$store" run -q --via="$via" --workspace w "$@" -- \
        sh -c "sleep 60 & echo \$\$ \$! >'$scratch/$who-pids/new'; mv '$scratch/$who-pids/new' '$scratch/$who-pids/pid'; echo left >left; wait") &
    supervisor=$!
    for _ in $(seq 100); do
        [ -e "$scratch/$who-pids/pid" ] && break
        sleep 0.05
    done
    read -r command grandchild <"$scratch/$who-pids/pid"
}
command_is_gone() {
    for _ in $(seq 60); do
        kill -0 "$command" 2>/dev/null || kill -0 "$grandchild" 2>/dev/null || return 0
        sleep 0.1
    done
    echo "still running: $command $grandchild"
    return 1
}
# In this shell, as only it can wait.
check_ended() {
    local status=0
    wait "$supervisor" 2>/dev/null || status=$?
    check "$2" test "$status" = "$1"
}

restored() {
    rm -rf "$scratch/$who-pids/restored"
    vrift checkout built "$scratch/$who-pids/restored" >/dev/null 2>&1
    python3 "$scratch/dump_tree.py" --no-holes "$scratch/$who-pids/restored"
}

# -- What holds whichever way it goes ---------------------------------------------------------------------------------

check_statuses() {
    check_status 7 "$title: the exit status is the command's" run -- sh -c 'exit 7'
    check_status 7 "$title: also where the caller ignores the end of its children" run_ignoring_children -- sh -c 'exit 7'
    check_status 0 "$title: success is 0" run -- true
    check_status 127 "$title: no such command is 127" run -- no-such-command
    check_status 126 "$title: what cannot be executed is 126" run -- /etc/passwd
    check_status 137 "$title: a command killed by signal 9 is 137" run -- sh -c 'kill -9 $$'
    check "$title: an unknown command is said in one line" \
        prints "vrift: run: no-such-command: command not found" run -- no-such-command
    check_status 1 "$title: an unknown workspace is refused" run_in no-such -- true
}

check_view() {
    check "$title: the tree is what was imported" \
        diff "$scratch/$who-dump" <(run -- python3 "$scratch/dump_tree.py" "${no_compare[@]}" .)
    check "$title: scripts and symlinks of the tree work" prints "script a b" run -- sh -c 'cat link >/dev/null && ./script a b'
    check "$title: VRIFT_WORKSPACE names the workspace" prints w run -- sh -c 'echo $VRIFT_WORKSPACE'
    check "$title: standard input is the command's" prints through run -- cat < <(echo through)
    check "$title: the private directory is the same at each run" test "$(run -- pwd)" = "$(run -- pwd)"
}

check_changes() {
    check "$title: a real compiler works inside" run -- make -s
    check "$title: what was made is there at the next run" prints 42 run -- ./prog
    check "$title: make finds nothing to do then" run -- make -q
    check "$title: files are changed, removed, renamed and made" run -- sh -ec 'echo "#define ANSWER 43" >src/answer.h
        rm closed; mv Makefile makefile; mkdir -p new/dir; echo x >new/dir/file; rm -r deep; mkdir deep; echo y >deep/new'
    check "$title: a changed file is built again" prints 43 run -- sh -c 'make -s && ./prog'
    check_status 1 "$title: what was removed stays removed" run -- test -e closed -o -e deep/er -o -e Makefile
    check "$title: what was made stays" prints xy run -- sh -c 'cat new/dir/file deep/new | tr -d "\n"'
    check "$title: the snapshot does not change" prints "#define ANSWER 42" vrift cat tree:src/answer.h
}

check_place() {
    local place="$scratch/$who-place" odd="$scratch/$who-place/a, b: c\\d \"e\" %n"
    mkdir -p "$place/there"
    chown -R "$owner" "$place"
    check "$title: --at is where the command starts" prints "$place/there" run --at "$place/there" -- pwd
    check "$title: --at makes directories that are not there" prints "$place/a/b" run --at "$place/a/b" -- pwd
    check_status 1 "$title: and removes them again" test -e "$place/a"
    check "$title: --at may be relative" prints "$place/rel" run_from "$place" --at rel -- pwd
    check "$title: --at may have blanks, commas, colons and backslashes" prints "$odd" run --at "$odd" -- pwd
    check_status 1 "$title: --at a file is refused" run --at "$scratch/vrift" -- true
    check_status 1 "$title: --at the root is refused" run --at / -- true
    check_status 1 "$title: --at inside the workspace is refused" run --at "$(echo "$store"/workspaces/w/upper-*)" -- true
}

check_commit() {
    check "$title: what was made is committed" vrift workspace commit w --name built
    run -- python3 "$scratch/dump_tree.py" --no-holes . >"$scratch/$who-built"
    check "$title: the commit is the tree that the command saw" \
        diff "$scratch/$who-built" <(restored)
    fresh again built
    check "$title: in a workspace of the commit there is nothing left to build" run_in again -- make -q -f makefile
}

check_sharing() {
    start_long_run
    check_status 1 "$title: a second run in a workspace is refused meanwhile" run -- true
    check "$title: and says why" prints "vrift: run: w: another command runs in this workspace" run -- true
    kill -TERM "$supervisor"
    check_ended 143 "$title: SIGTERM is passed on to the command"
    check "$title: what it left running has ended" command_is_gone
    check "$title: nothing stays mounted and nothing runs" nothing_left
    check "$title: what the command leaves running is ended" run -- sh -c 'sleep 60 & sleep 60 & (setsid sleep 60 &) ; true'
    check "$title: and is gone" nothing_left
}

check_empty() {
    fresh empty
    check "$title: a workspace without a base starts empty" prints "" run_in empty -- ls -A
    check "$title: it can be filled" run_in empty -- sh -c 'mkdir d; echo 1 >d/one'
    check "$title: and keeps what is put there" prints 1 run_in empty -- cat d/one
}

# Types control-C at a terminal while the command counts, and prints what the command said.
at_terminal() {
    python3 - "$@" <<'PYTHON'
import os, pty, sys, time
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
said = b''
while b'ready' not in said:
    said += os.read(terminal, 1000)
os.write(terminal, b'\x03')
try:
    while True:
        block = os.read(terminal, 1000)
        if not block:
            break
        said += block
except OSError:
    pass
print(said.split(b'ready')[1].replace(b'^C', b'').split(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
PYTHON
}
check_terminal() {
    check "$title: control-C reaches the command, once, and its status comes back" prints "[b'interrupted', b'end'] 5" \
        at_terminal bash -c "$(declare -f become_user become_who); who=$who ordinary=$ordinary; become_who \"\$@\"" - \
        "$scratch/vrift" --store "$store" run -q --via="$via" --workspace w -- \
        bash -c 'trap "echo interrupted" INT; echo ready; sleep 1 & wait; sleep 0.3; echo end; exit 5'
}

check_kills() {
    start_long_run
    kill -KILL "$supervisor"
    check "$title: if we are killed, the command is ended" command_is_gone
    wait "$supervisor" 2>/dev/null
    check "$title: and nothing stays mounted or running" nothing_left
    check "$title: and the workspace can be used" run -- true
    start_long_run
    kill -KILL "$(pgrep -o -P "$supervisor")"
    check_ended 1 "$title: if the keeper is killed, the run fails"
    check "$title: and the command is ended" command_is_gone
    check "$title: and nothing stays mounted or running then" nothing_left
    check "$title: and the workspace can be used then" run -- true
}

common_checks() {
    title="$who, $via"
    store="$scratch/$who, store: \\1"
    owner=$([ "$who" = user ] && echo $ordinary:$ordinary || echo 0:0)
    if [ ! -d "$store" ]; then
        install -d -o "${owner%:*}" -g "${owner#*:}" "$scratch/$who-tree" "$scratch/$who-pids" "$store"
        make_source "$scratch/$who-tree"
        chown -Rh "$owner" "$scratch/$who-tree"
        python3 "$scratch/dump_tree.py" "${no_compare[@]}" "$scratch/$who-tree" >"$scratch/$who-dump"
        check "$title: the project is imported" vrift import "$scratch/$who-tree" --name tree
    fi
    mounts >"$scratch/mounts"
    fresh w tree
    check_statuses
    check_view
    fresh w tree
    check_changes
    check_commit
    check_place
    check_sharing
    check_empty
    check_terminal
    check_kills
}

# -- The ways ---------------------------------------------------------------------------------------------------------

check_overlay_only() {
    start_long_run
    kill -KILL "$(pgrep -n -P "$supervisor")"
    check_status 1 "$title: if the server is killed, the snapshot cannot be read" \
        nsenter -t "$command" -m sh -c "cat /proc/$command/cwd/sparse"
    kill -TERM "$supervisor"
    check_ended 143 "$title: and the command goes on, to end by itself"
    check "$title: and nothing stays mounted or running after that" nothing_left
    check "$title: auto says that it takes the overlay" prints "vrift: run: via overlay" \
        vrift run --workspace w -- true
    check "$title: the command sees no other mount of ours" prints 1 run -- sh -c 'grep -c "^vrift " /proc/self/mounts'
    check "$title: files have the device number of their directory" run -- sh -c 'test $(stat -c %d script) = $(stat -c %d .)'
    local from="$scratch/$who-place/from"
    mkdir -p "$from/src"
    check "$title: the caller's directory inside --at is kept" prints "$from/src" run_from "$from/src" --at "$from" -- pwd
    mkdir -p "$from/not-in-tree"
    check "$title: if the workspace has no such directory, its root is taken" prints "$from" \
        run_from "$from/not-in-tree" --at "$from" -- pwd
}

check_checkout_only() {
    check_status 137 "$title: a command that is killed" run -- sh -c 'echo new >unwanted; kill -9 $$'
    check_status 1 "$title: leaves the workspace as it was" run -- test -e unwanted
    mkdir -p "$scratch/$who-place/full/x"
    check_status 1 "$title: --at a directory that is not empty is refused" run --at "$scratch/$who-place/full" -- true
    check "$title: and it is left as it is" test -d "$scratch/$who-place/full/x"
    check_status 1 "$title: the private tree is removed" test -e "$store/workspaces/w/tree"
}

check_user_ids() {
    check "$title: the command runs as the caller" prints "$ordinary:$ordinary" run -- sh -c 'echo $(id -u):$(id -g)'
    check "$title: without privileges" prints 0000000000000000 run -- sh -c 'sed -n "s/CapEff:\t//p" /proc/self/status'
}

check_fallback() {
    title="$who, auto"
    via=auto
    without_fuse() { (exec setpriv --reuid $ordinary --regid $ordinary --clear-groups "$scratch/vrift" --store "$store" run "$@" --workspace w -- ls link); }
    if : 2>/dev/null <>/dev/fuse && setpriv --reuid $ordinary --regid $ordinary --clear-groups sh -c ': <>/dev/fuse' 2>/dev/null; then
        skip "$title: where there is no overlay, auto restores and says why" "everybody may open /dev/fuse here"
        return
    fi
    check "$title: where there is no overlay, auto restores and says why" \
        prints "vrift: run: via checkout: no overlay here (overlay: opening /dev/fuse: Permission denied)
link" without_fuse
    check_status 1 "$title: --via=overlay fails then" without_fuse --via=overlay
}

no_compare=()
who=root
via=overlay
if [ -n "$no_overlay" ]; then
    skip "root, overlay" "$no_overlay"
else
    common_checks
    check_overlay_only
fi
if [ "$(id -u)" -eq 0 ]; then
    via=checkout
    common_checks
    check_checkout_only
else
    skip "root, checkout" "needs root"
fi

who=user
via=overlay
if [ "${VRIFT_SANITIZE:-}" = thread ]; then
    no_user_overlay="the thread sanitizer's own thread keeps a process from making a user namespace"
fi
if [ -n "$no_user_overlay" ]; then
    skip "an ordinary user, overlay" "$no_user_overlay"
else
    common_checks
    check_overlay_only
    check_user_ids
    check_fallback
fi
via=checkout
common_checks
check_checkout_only
finish
