#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# What the built libraries export and need.
source "$VRIFT_SOURCE/test/support/tap.sh"

library=$VRIFT_BUILD/lib/libvrift.so
needed() { readelf -d "$library" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | grep -v '^ld-linux' | sort | xargs; }
soname() { readelf -d "$library" | sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p'; }
foreign_globals() {
    nm -g --defined-only "$VRIFT_BUILD/lib/libvrift.a" | awk 'NF == 3 { print $3 }' | grep -v -E '^(vrift_|vr_|__odr_asan|\.)'
}

check "exported == listed == declared == documented" \
    python3 "$VRIFT_SOURCE/script/checks/symbols.py" "$library"
check "the soname is libvrift.so.0" test "$(soname)" = libvrift.so.0
check "the static library defines no global name but vrift_ and vr_ ones" test -z "$(foreign_globals)"
if [ -n "$VRIFT_SANITIZE" ]; then
    skip "the library needs libc and libzstd only" "a sanitizer's build needs its runtime too"
else
    check "the library needs libc and libzstd only" test "$(needed)" = "libc.so.6 libzstd.so.1"
fi
finish
