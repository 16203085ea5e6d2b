#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# Each public header compiles alone, without a warning, in each language it promises.
source "$VRIFT_SOURCE/test/support/tap.sh"

for header in "$VRIFT_SOURCE"/include/vrift/*.h; do
    name=vrift/$(basename "$header")
    for language in 'gcc -std=c99 -x c' 'gcc -std=c11 -x c' 'g++ -std=c++17 -x c++'; do
        set -- $language
        check "$name alone as ${2#-std=}" bash -c "printf '#include <%s>\n' $name |
            $language -Wall -Wextra -pedantic -Werror -fsyntax-only -I '$VRIFT_SOURCE/include' -"
    done
done
finish
