#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# A program is built against the installed package in every way that the package promises, and run.
source "$VRIFT_SOURCE/test/support/tap.sh"
scratch

source=$VRIFT_SOURCE/test/packaging/consumer.c
flags=${VRIFT_SANITIZE:+-fsanitize=$VRIFT_SANITIZE}
export PKG_CONFIG_PATH LD_LIBRARY_PATH

check "cmake --install works" cmake --install "$VRIFT_BUILD" --prefix "$scratch/first"
libdir=$(cd "$scratch/first" && dirname "$(dirname "$(find . -name vrift.pc)")")

with_prefix() {
    PKG_CONFIG_PATH=$1/$libdir/pkgconfig LD_LIBRARY_PATH=$1/$libdir "${@:2}"
}
shared() {
    gcc -std=c99 -Wall -Werror $flags "$source" -o "$scratch/shared" $(pkg-config --cflags --libs vrift) && "$scratch/shared" &&
        readelf -d "$scratch/shared" | grep -q 'NEEDED.*libvrift.so.0'
}
static() {
    gcc -std=c99 -Wall -Werror $flags "$source" -o "$scratch/static" $(pkg-config --cflags vrift) -Wl,-Bstatic \
        $(pkg-config --libs-only-L --libs-only-l --static vrift) -Wl,-Bdynamic -lc && "$scratch/static" &&
        ! readelf -d "$scratch/static" | grep -q 'NEEDED.*libvrift'
}
with_cmake() {
    mkdir -p "$scratch/$1"
    cat >"$scratch/$1/CMakeLists.txt"
    cp "$source" "$scratch/$1/consumer.c"
    cmake -G Ninja -S "$scratch/$1" -B "$scratch/$1/build" -DCMAKE_C_FLAGS="$flags" "${@:2}" &&
        cmake --build "$scratch/$1/build" && "$scratch/$1/build/consumer"
}
find_package() {
    with_cmake find_package -DCMAKE_PREFIX_PATH="$scratch/second" <<'EOF'
cmake_minimum_required(VERSION 3.25)
project(consumer LANGUAGES C)
find_package(vrift 0.1 REQUIRED)
add_executable(consumer consumer.c)
target_link_libraries(consumer PRIVATE vrift::vrift)
EOF
}
add_subdirectory() {
    flags= with_cmake add_subdirectory <<EOF
cmake_minimum_required(VERSION 3.25)
project(consumer LANGUAGES C)
add_subdirectory("$VRIFT_SOURCE" vrift EXCLUDE_FROM_ALL)
add_executable(consumer consumer.c)
target_link_libraries(consumer PRIVATE vrift::vrift)
EOF
}
relative() { ! grep -rq "$scratch" "$scratch/second/$libdir/pkgconfig" "$scratch/second/$libdir/cmake"; }
zstd_is_private() { ! pkg-config --libs vrift | grep -q zstd && pkg-config --libs --static vrift | grep -q zstd; }

check "a consumer through vrift.pc, shared" with_prefix "$scratch/first" shared
check "a consumer through vrift.pc, static" with_prefix "$scratch/first" static
mv "$scratch/first" "$scratch/second"
check "nothing installed names the prefix it was installed to" relative
check "libzstd is required privately" with_prefix "$scratch/second" zstd_is_private
check "a consumer through vrift.pc, shared, after the prefix moved" with_prefix "$scratch/second" shared
check "a consumer through vrift.pc, static, after the prefix moved" with_prefix "$scratch/second" static
check "a consumer through find_package" with_prefix "$scratch/second" find_package
check "a consumer through add_subdirectory" add_subdirectory

for example in "$VRIFT_SOURCE"/examples/*.c; do
    name=$(basename "$example" .c)
    run_example() {
        gcc -std=c99 -Wall -Wextra -pedantic -Werror $flags "$example" -o "$scratch/$name" \
            $(pkg-config --cflags --libs vrift) && mkdir -p "$scratch/$name.d" && cd "$scratch/$name.d" && "$scratch/$name" .
    }
    check "examples/$name.c is at most 120 lines" test "$(wc -l <"$example")" -le 120
    check "examples/$name.c builds against the installed package and runs" with_prefix "$scratch/second" run_example
done
finish
