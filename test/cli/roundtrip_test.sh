#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# Unusual but valid: what goes in comes back exactly.
source "${VRIFT_SOURCE:?}/test/cli/cli.sh" || exit 1

# round NAME: imports $scratch/NAME and restores it as $scratch/NAME.back.
round() { "$vrift" import "$scratch/$1" --name "$1" >/dev/null && "$vrift" checkout "$1" "$scratch/$1.back" >/dev/null; }
all="--links --xattrs"
[ "$(id -u)" -eq 0 ] && all="$all --owners"
comes_back() { round "$1" && same_trees "$scratch/$1" "$scratch/$1.back" $all; }
whole() { # NAME TEXT: one check for a directory that was prepared
    check "$2" comes_back "$1"
}

make_tree "$scratch/plain"
whole plain "an ordinary tree comes back"

mkdir "$scratch/names"
python3 - "$scratch/names" <<'PY'
import os, sys
top = os.fsencode(sys.argv[1])
# All bytes but '/' and NUL, alone and between letters; the longest names; what looks like something else.
names = {bytes([b]) for b in range(1, 256) if b not in (0x2f, 0x2e)} | {b"a%cz" % b for b in range(1, 256) if b != 0x2f}
names |= {b"n" * 255, b"\xff" * 255, b"new\nline", b" ", b"-rf", b"--", b"...", b"..a", b".hidden", b"a:b", b"\xed\xa0\x80",
          b"\xc0\xaf", b"tab\there", b"'", b'"', b"\\", b"*", b"\x1b[31m"}
for name in sorted(names):
    with open(top + b"/" + name, "wb") as file:
        file.write(name)
os.mkdir(top + b"/dir\xfe")
os.symlink(b"\xff\xfe\n", top + b"/dir\xfe/link")
PY
whole names "names of any bytes, the longest too, come back"
listed() {
    "$vrift" ls -0 names | tr '\0' '\1' | sha256sum
    (cd "$scratch/names" && LC_ALL=C ls -A -1 --zero | tr '\0' '\1' | sha256sum)
}
check "ls -0 prints the very bytes, in their order" test "$(listed | sort -u | wc -l)" -eq 1
json_names() {
    "$vrift" ls -R --json names | python3 -c '
import json, os, sys
top = sys.argv[1].encode()
found = {os.fsencode(e["path"]) for e in json.load(sys.stdin)}
there = {os.path.relpath(os.path.join(d, n), top) for d, ds, fs in os.walk(top) for n in ds + fs}
sys.exit(found != there)' "$scratch/names"
}
check "JSON carries names of any bytes there and back" json_names
check "cat finds a name of any bytes" cmp <("$vrift" cat names:$'\xed\xa0\x80') "$scratch/names/"$'\xed\xa0\x80'
check "cat finds a name with a colon" cmp <("$vrift" cat names:a:b) <(printf a:b)

mkdir "$scratch/modes"
for mode in 0000 0111 0200 0444 0555 0644 0777 1644 1755 2755 4755 6755 7777; do
    echo $mode >"$scratch/modes/f$mode"
    mkdir "$scratch/modes/d$mode"
    chmod $mode "$scratch/modes/f$mode" "$scratch/modes/d$mode"
done
if [ "$(id -u)" -ne 0 ]; then
    chmod u+rx "$scratch"/modes/* # nobody but root reads what nobody may
fi
whole modes "every mode comes back, setuid and sticky too"
chmod -R u+rwx "$scratch/modes" "$scratch/modes.back"

# In a store of its own: hashing 5 GiB takes a while, and the verify at the end would do it again.
main_store=$VRIFT_STORE
export VRIFT_STORE=$scratch/store-of-holes
mkdir "$scratch/holes"
python3 - "$scratch/holes" <<'PY'
import os, sys
def make(name, size, *pieces):
    with open(os.path.join(sys.argv[1], name), "wb") as file:
        file.truncate(size)
        for at, data in pieces:
            file.seek(at)
            file.write(data)
make("empty", 0)
make("all-hole", 1 << 20)
make("middle", 1 << 20, (512 << 10, b"x" * 4096))
make("ends", 1 << 20, (0, b"a"), ((1 << 20) - 1, b"z"))
make("small", 9000, (8999, b"!"))
make("5gib", 5 << 30, (0, b"first"), (3 << 30, b"middle"), ((5 << 30) - 4, b"last"))
PY
whole holes "sparse files come back, one of 5 GiB too"
blocks() { (cd "$1" && stat -c '%n %b' -- * | sort); }
kept() {
    python3 - "$scratch/holes" "$scratch/holes.back" <<'PY'
import os, sys
bad = False
for name in os.listdir(sys.argv[1]):
    a, b = (os.stat(os.path.join(top, name)).st_blocks for top in sys.argv[1:])
    if b > a + 256:  # 128 KiB for how a file system lays out
        print("%s: %d blocks came back as %d" % (name, a, b))
        bad = True
sys.exit(bad)
PY
}
check "their holes are kept" kept
stored_small() { [ "$(du -s --block-size=1M "$VRIFT_STORE" | cut -f 1)" -lt 100 ] || du -sh "$VRIFT_STORE"; }
check "and take no space in the store" stored_small
cat_large() { cmp -n 4 -i $(((5 << 30) - 4)):0 "$scratch/holes/5gib" <(printf last) && "$vrift" cat holes:small | cmp - "$scratch/holes/small"; }
check "cat writes the zeroes of a hole" cat_large
rm -rf "$scratch/holes" "$scratch/holes.back" "$VRIFT_STORE"
VRIFT_STORE=$main_store

mkdir "$scratch/specials"
mkfifo -m 640 "$scratch/specials/fifo"
python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$scratch/specials/socket"
touch -d '1999-12-31 23:59:59.999999999' "$scratch/specials/fifo" "$scratch/specials/socket"
whole specials "fifos and sockets come back"
mkdir "$scratch/devices"
if mknod "$scratch/devices/null" c 1 3 2>/dev/null && mknod "$scratch/devices/loop" b 7 200 2>/dev/null; then
    chmod 604 "$scratch/devices/null"
    whole devices "devices come back where privilege allows"
else
    skip "devices come back where privilege allows" "making a device needs root"
fi

mkdir -p "$scratch/links/a" "$scratch/links/b"
echo shared >"$scratch/links/a/one"
ln "$scratch/links/a/one" "$scratch/links/b/two"
ln "$scratch/links/a/one" "$scratch/links/three"
head -c 50000 /dev/urandom >"$scratch/links/b/large"
ln "$scratch/links/b/large" "$scratch/links/a/large"
mkfifo "$scratch/links/fifo"
ln "$scratch/links/fifo" "$scratch/links/a/fifo"
ln -s nowhere "$scratch/links/dangling"
ln -s dangling "$scratch/links/to-dangling"
ln -s loop2 "$scratch/links/loop1"
ln -s loop1 "$scratch/links/loop2"
ln -s self "$scratch/links/self"
ln -s "$(head -c 4000 /dev/zero | tr '\0' x)" "$scratch/links/long"
ln -s / "$scratch/links/root"
ln "$scratch/links/dangling" "$scratch/links/a/dangling" 2>/dev/null || true
echo alone >"$scratch/links/alone"
ln "$scratch/links/alone" "$scratch/outside"
touch -h -d '1998-07-06 05:04:03.020100999' "$scratch/links/dangling"
check "hard links, dangling and looping symlinks come back" \
    eval 'round links; rm "$scratch/outside"; same_trees "$scratch/links" "$scratch/links.back" $all'
says 1 'loop1' "cat of a looping symlink is a clear error" "$vrift" cat links:loop1
says 1 'no such' "cat of a dangling symlink is a clear error" "$vrift" cat links:dangling
says 1 '' "cat of a symlink that leads out does not" "$vrift" cat links:root/etc/passwd

mkdir "$scratch/xattrs"
if setfattr -n user.probe -v x "$scratch/xattrs" 2>/dev/null; then
    echo x >"$scratch/xattrs/file"
    mkdir "$scratch/xattrs/dir"
    setfattr -n user.text -v value "$scratch/xattrs/file"
    setfattr -n user.empty "$scratch/xattrs/file"
    setfattr -n user.binary -v 0x00ff0a00 "$scratch/xattrs/file"
    setfattr -n user.large -v "$(head -c 3000 /dev/zero | tr '\0' L)" "$scratch/xattrs/dir"
    whole xattrs "user xattrs come back"
else
    skip "user xattrs come back" "the file system of $scratch has none"
fi

mkdir "$scratch/times"
python3 - "$scratch/times" <<'PY'
import os, sys
for ns in (-1, 0, 1, -10**9, -10**9 - 1, -86400 * 365 * 10**9 - 123456789, 10**9 - 1, 1700000000123456789,
           (1 << 31) * 10**9 + 7, ((1 << 32) - 1) * 10**9 + 999999999):
    path = os.path.join(sys.argv[1], "t%d" % ns)
    open(path, "w").close()
    os.utime(path, ns=(ns, ns))
os.mkdir(os.path.join(sys.argv[1], "old"))
os.utime(os.path.join(sys.argv[1], "old"), ns=(-5, -5))
PY
whole times "times before 1970 and after 2038 come back to the nanosecond"

python3 - "$scratch/deep" <<'PY'
import os, sys
os.mkdir(sys.argv[1])
os.chdir(sys.argv[1])
for level in range(300):
    with open("file", "w") as file:
        file.write(str(level))
    os.mkdir("a-directory-with-a-rather-long-name")
    os.chdir("a-directory-with-a-rather-long-name")
PY
whole deep "a tree 300 levels deep comes back"
check "ls -R walks it" test "$("$vrift" ls -R deep | wc -l)" -eq 600
rm -rf "$scratch/deep" "$scratch/deep.back"

python3 - "$scratch/wide" <<'PY'
import os, sys
os.mkdir(sys.argv[1])
for i in range(100000):
    fd = os.open("%s/entry-%d" % (sys.argv[1], i), os.O_CREAT | os.O_WRONLY, 0o644)
    if i % 1000 == 0:
        os.write(fd, b"%d" % i)
    os.close(fd)
PY
whole wide "a directory of 100,000 entries comes back"
check "ls lists them all" test "$("$vrift" ls wide | wc -l)" -eq 100000
rm -rf "$scratch/wide" "$scratch/wide.back"

mkdir "$scratch/nothing"
whole nothing "an empty tree comes back"
mkdir "$scratch/prepared"
check "a tree comes back into an empty directory that is there" "$vrift" checkout plain "$scratch/prepared"
check "just the same" same_trees "$scratch/plain" "$scratch/prepared" $all
for link in copy smart; do
    check "a tree comes back with --link=$link" "$vrift" checkout plain "$scratch/by-$link" --link=$link --jobs 3
    check "just the same with --link=$link" same_trees "$scratch/plain" "$scratch/by-$link" $all
done
reach_the_store() {
    python3 - "$scratch/by-smart" "$VRIFT_STORE" <<'PY'
import os, sys
def inodes(top):
    return {(os.lstat(p).st_dev, os.lstat(p).st_ino) for d, _, fs in os.walk(top) for p in (os.path.join(d, f) for f in fs)}
sys.exit(bool(inodes(sys.argv[1]) & inodes(sys.argv[2])))
PY
}
check "with --link=smart no writable file shares an inode with the store" reach_the_store
check "clone copies the tree too" "$vrift" clone "$scratch/plain" "$scratch/cloned"
check "just the same as the source" same_trees "$scratch/plain" "$scratch/cloned" $all
check "clone copies a file" "$vrift" clone "$scratch/plain/run.sh" "$scratch/run.sh"
check "what came back has the id of what went in" same "$("$vrift" import "$scratch/plain")" "$("$vrift" import "$scratch/plain.back")"
check "and the store verifies" "$vrift" verify
finish
