# SPDX-License-Identifier: Apache-2.0 OR MIT
# TAP for tests in bash. Source it; call check/skip for each check, and `finish` at the end.
#
#   check NAME COMMAND...    ok if the command ends 0; its output is shown if not
#   check_status N NAME COMMAND...   ok if the command ends N
#   skip NAME REASON
#   scratch                  a temporary directory, removed at exit; the first call makes it, $scratch names it

tap_count=0
tap_failed=0
tap_cleanups=()

tap_result() {
    tap_count=$((tap_count + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $tap_count - $2"
    else
        echo "not ok $tap_count - $2"
        tap_failed=$((tap_failed + 1))
        [ -z "${3:-}" ] || sed 's/^/# /' <<<"$3"
    fi
}

check() {
    check_status 0 "$@"
}

check_status() {
    local tap_wanted=$1 tap_name=$2 tap_output tap_status=0
    shift 2
    tap_output=$("$@" 2>&1) || tap_status=$?
    [ "$tap_status" -eq "$tap_wanted" ]
    tap_result $? "$tap_name" "ended with status $tap_status, wanted $tap_wanted: $*"$'\n'"$tap_output"
}

skip() {
    tap_count=$((tap_count + 1))
    echo "ok $tap_count - $1 # SKIP $2"
}

at_exit() {
    tap_cleanups=("$1" "${tap_cleanups[@]}")
}

tap_clean_up() {
    local command
    for command in "${tap_cleanups[@]}"; do
        eval "$command"
    done
}
trap tap_clean_up EXIT

scratch() {
    scratch=$(mktemp -d "${TMPDIR:-/tmp}/vrift-test-XXXXXX")
    at_exit 'chmod -R u+rwX "$scratch" 2>/dev/null; rm -rf "$scratch"'
}

finish() {
    echo "1..$tap_count"
    exit $((tap_failed > 0))
}
