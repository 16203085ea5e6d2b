# SPDX-License-Identifier: Apache-2.0 OR MIT
# What the tests of the command share. Source it: it brings TAP, a scratch directory, and a store of its own in it.
source "${VRIFT_SOURCE:?}/test/support/tap.sh"

vrift=$VRIFT_BUILD/bin/vrift
manifest=$VRIFT_SOURCE/script/manifest
scratch
scratch=$(cd "$scratch" && pwd -P)
export VRIFT_STORE=$scratch/store
unset XDG_CACHE_HOME
export HOME=$scratch/home

# says STATUS PATTERN NAME COMMAND...: ends with STATUS, and says one line on stderr, `vrift: ...`, that matches.
says() {
    local wanted=$1 pattern=$2 name=$3 status=0 text lines limit="timeout 120"
    shift 3
    [ "$(type -t "$1")" != function ] || limit=
    $limit "$@" >"$scratch/.out" 2>"$scratch/.err" </dev/null || status=$?
    text=$(<"$scratch/.err")
    lines=$(wc -l <"$scratch/.err")
    [ "$status" -eq "$wanted" ] && [ "$lines" -eq 1 ] && [[ $text == "vrift: "* ]] && grep -qE -- "$pattern" <<<"$text"
    tap_result $? "$name" "status $status, wanted $wanted; $lines lines, wanted one that matches: $pattern"$'\n'"$text"
}

# What a store holds: every name and every byte. Temporary files are not its content.
fingerprint() {
    (cd "$1" && find . -path ./tmp -prune -o -printf '%p %y %m %s\n' | sort && find . -path ./tmp -prune -o -type f -print0 | sort -z |
        xargs -0r sha256sum) 2>/dev/null
}

same() { [ $# -eq 2 ] && [ "$1" = "$2" ] || { echo "  $1"; echo "is not"; echo "  $2"; return 1; }; }

# same_trees A B [OPTION...]: nothing differs that script/manifest can see.
same_trees() {
    "$manifest" "$1" "${@:3}" >"$scratch/.one" && "$manifest" "$2" "${@:3}" >"$scratch/.two" || return 1
    diff "$scratch/.one" "$scratch/.two" >"$scratch/.diff" && return
    head -c 4000 "$scratch/.diff"
    return 1
}

# A tree of the ordinary kinds of files, some of them too large for a pack.
make_tree() {
    mkdir -p "$1/src/deep/er" "$1/empty"
    echo 'int main(void) { return 0; }' >"$1/src/main.c"
    echo '#!/bin/sh' >"$1/run.sh"
    chmod 755 "$1/run.sh"
    : >"$1/src/nothing"
    head -c 100000 /dev/urandom >"$1/src/deep/large"
    head -c 40000 /dev/urandom >"$1/src/deep/er/larger"
    for i in 1 2 3 4 5 6 7 8; do echo "file $i" >"$1/src/file$i"; done
    ln -s ../run.sh "$1/src/link"
    ln "$1/src/main.c" "$1/src/hard.c"
    touch -d '2001-02-03 04:05:06.789012345 UTC' "$1/src/main.c"
}

# Runs a command as somebody who is nobody: as root through setpriv, else as oneself.
as_nobody() {
    if [ "$(id -u)" -eq 0 ]; then
        setpriv --reuid 65534 --regid 65534 --clear-groups -- "$@"
    else
        "$@"
    fi
}
