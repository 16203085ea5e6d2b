#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# One tree, one id: it depends on nothing but the tree.
source "${VRIFT_SOURCE:?}/test/cli/cli.sh" || exit 1

tree=$scratch/tree
make_tree "$tree"
for i in $(seq 300); do echo "$i" >"$tree/src/deep/n$((i * 7919 % 1000))-$i"; done
touch "$tree/src/"$'na\xefve' "$tree/src/Ärger" "$tree/src/zebra" "$tree/src/Zebra"
wanted=$("$vrift" import "$tree")
check "the id is 64 hex digits, alone" grep -qxE '[0-9a-f]{64}' <<<"$wanted"

id() { "$vrift" --store "$scratch/other" import "$@"; rm -rf "$scratch/other"; }
check "the same at a second time" same "$wanted" "$("$vrift" import "$tree")"
check "the same in another store" same "$wanted" "$(id "$tree")"
for mask in 000 022 077; do
    check "the same under umask $mask" same "$wanted" "$(umask $mask; id "$tree")"
done
for locale in C C.UTF-8 POSIX; do
    check "the same in locale $locale" same "$wanted" "$(LC_ALL=$locale id "$tree")"
done
for jobs in 1 2 3 8 32; do
    check "the same with $jobs jobs" same "$wanted" "$(id "$tree" --jobs $jobs)"
done
check "the same from another time zone" same "$wanted" "$(TZ=Asia/Kathmandu id "$tree")"
check "the same with a slash at the end" same "$wanted" "$(id "$tree/")"
check "the same as . from within" same "$wanted" "$(cd "$tree" && id .)"
ln -s tree "$scratch/way"
check "the same through a symlink" same "$wanted" "$(id "$scratch/way")"
cp -a "$tree" "$scratch/copy"
check "the same for a copy" same "$wanted" "$(id "$scratch/copy")"
# A copy whose names were made in the reverse order: readdir gives another order on most file systems.
python3 - "$tree" "$scratch/backwards" <<'PY'
import os, shutil, sys
def copy(source, dest):
    os.mkdir(dest)
    for name in sorted(os.listdir(source), reverse=True):
        a, b = os.path.join(source, name), os.path.join(dest, name)
        if os.path.isdir(a) and not os.path.islink(a):
            copy(a, b)
        elif os.path.exists(linked.get(os.lstat(a).st_ino, "")):
            os.link(linked[os.lstat(a).st_ino], b)
        else:
            shutil.copy2(a, b, follow_symlinks=False)
            linked[os.lstat(a).st_ino] = b
    shutil.copystat(source, dest)
linked = {}
copy(os.fsencode(sys.argv[1]), os.fsencode(sys.argv[2]))
PY
check "the copy made backwards is a copy" same_trees "$tree" "$scratch/backwards" --links
check "the same for a copy made backwards" same "$wanted" "$(id "$scratch/backwards")"
if [ -w /dev/shm ]; then
    shm=$(mktemp -d /dev/shm/vrift-test-XXXXXX)
    at_exit 'rm -rf "$shm"'
    cp -a "$tree" "$shm/tree"
    check "the same on tmpfs" same "$wanted" "$(id "$shm/tree")"
else
    skip "the same on tmpfs" "/dev/shm is not writable"
fi

differs() { [ "$(id "$tree")" != "$wanted" ]; }
touch -d '2001-02-03 04:05:06.789012346 UTC' "$tree/src/main.c"
check "another id after a nanosecond" differs
touch -d '2001-02-03 04:05:06.789012345 UTC' "$tree/src/main.c"
check "the old id when it is taken back" same "$wanted" "$(id "$tree")"
chmod 640 "$tree/run.sh"
check "another id after a change of mode" differs
chmod 755 "$tree/run.sh"
check "the old id after that too" same "$wanted" "$(id "$tree")"

timeless=$(id --timeless "$tree")
check "a timeless id is another" test "$timeless" != "$wanted"
find "$tree" -exec touch -h -d '2010-01-01' {} +
check "and does not depend on times" same "$timeless" "$(id --timeless "$tree")"
finish
