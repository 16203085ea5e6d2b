#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# The bounded form of fuzzing: every fuzzer over its seeds and a fixed number of mutations. The long form:
#   VRIFT_FUZZ_RUNS=10000000 VRIFT_FUZZ_SEED=$RANDOM script/test --preset asan fuzz
source "$VRIFT_SOURCE/test/support/tap.sh"

for fuzzer in "$VRIFT_BUILD"/fuzz/*_fuzzer; do
    name=$(basename "$fuzzer" _fuzzer)
    check "${name} survives ${VRIFT_FUZZ_RUNS:-20000} mutations of each seed" \
        "$fuzzer" --runs "${VRIFT_FUZZ_RUNS:-20000}" --seed "${VRIFT_FUZZ_SEED:-1}"
done
finish
