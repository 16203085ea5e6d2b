#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# The runner and the checks must be able to fail.
source "$VRIFT_SOURCE/test/support/tap.sh"
scratch

fake() {
    mkdir -p "$scratch/$1/source/test/x" "$scratch/$1/build/test"
    echo 'VRIFT_SANITIZE:STRING=' >"$scratch/$1/build/CMakeCache.txt"
    cat >"$scratch/$1/source/test/x/fake_test.sh"
}
run() { python3 "$VRIFT_SOURCE/test/run.py" --timeout 5 --source "$scratch/$1/source" --build "$scratch/$1/build" | tail -n 1; }

fake good <<<'echo "ok 1 - a"; echo "ok 2 - b # SKIP no reason to"; echo 1..2'
check "passes and skips are counted" test "$(run good)" = "1 passed, 0 failed, 1 skipped"
fake bad <<<'echo "ok 1 - a"; echo "not ok 2 - b"; echo 1..2; exit 1'
check "a failed check fails the run" test "$(run bad)" = "1 passed, 1 failed, 0 skipped"
fake short <<<'echo 1..3; echo "ok 1 - a"'
check "a program that stops early fails the run" test "$(run short)" = "1 passed, 1 failed, 0 skipped"
fake crash <<<'echo "ok 1 - a"; echo 1..1; kill -SEGV $$'
check "a crash fails the run" test "$(run crash)" = "1 passed, 1 failed, 0 skipped"
fake hang <<<'sleep 60'
check "a program that hangs fails the run" test "$(run hang)" = "0 passed, 2 failed, 0 skipped"
fake silent <<<'echo 1..1; echo "ok 1 - a # SKIP"'
check "a skip without a reason fails the run" test "$(run silent)" = "0 passed, 1 failed, 1 skipped"

broken_copy() {
    mkdir -p "$scratch/$1" && cp -r "$VRIFT_SOURCE"/{abi,include,script,src,examples,test} "$scratch/$1"
}
broken_copy symbols
sed -i '/^vrift_openat /d' "$scratch/symbols/abi/symbols.txt"
check_status 1 "a symbol missing from the list is found" python3 "$scratch/symbols/script/checks/symbols.py"
broken_copy includes
mkdir -p "$scratch/includes/src/backends/mem"
echo '#include "core/walk.h"' >"$scratch/includes/src/backends/mem/wrong.c"
check_status 1 "an include against the directions is found" python3 "$scratch/includes/script/checks/includes.py"
finish
