#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# vrift mount: what is seen through the kernel is what was imported; who may mount; how it ends.
source "${VRIFT_SOURCE:?}/test/support/tap.sh"
source "$VRIFT_SOURCE/test/support/fuse_user.sh"
scratch
chmod 755 "$scratch"
cp "$VRIFT_BUILD/bin/vrift" "$scratch/vrift"
cp "$VRIFT_SOURCE/test/support/dump_tree.py" "$scratch/dump_tree.py"
unset VRIFT_STORE
store="$scratch/store"
at="$scratch/mount, point: \\1"
tree="$scratch/tree"

vrift() {
    timeout -k 5 120 "$scratch/vrift" --store "$store" "$@"
}
prints() {
    local said
    said=$("${@:2}" 2>&1)
    [ "$said" = "$1" ] || { echo "printed: $said"; return 1; }
}
is_mounted() { mountpoint -q "$at"; }
nothing_left() {
    for _ in $(seq 150); do
        pgrep -f "^$scratch/vrift" >/dev/null || break
        sleep 0.1
    done
    ! pgrep -af "^$scratch/vrift" && no_new_mounts "$scratch/mounts"
}
same_tree() { diff "$scratch/dump" <(python3 "$scratch/dump_tree.py" "$at"); }

if [ -n "$no_fuse" ] || [ "$(id -u)" -ne 0 ]; then
    skip "a snapshot is mounted" "${no_fuse:-needs root}"
    finish
fi

# -- A tree with everything that is unusual but valid -----------------------------------------------------------------

make_tree() {
    mkdir -p "$tree/many" "$tree/sub/a" "$tree/sub/b"
    python3 - "$tree" <<'PYTHON'
import os, socket, sys
root = os.fsencode(sys.argv[1])
for i in range(100000):
    os.close(os.open(root + b'/many/entry-%06d' % i, os.O_CREAT | os.O_WRONLY, 0o644))
odd = root + b'/odd'
os.mkdir(odd)
for name in (b'\xff\xfe', b'new\nline', b'n' * 255, b' ', b'-rf', b'\\', b'"'):
    with open(odd + b'/' + name, 'wb') as file:
        file.write(name)
path = root + b'/deep'
here = os.open(root, os.O_RDONLY)
for i in range(300):
    os.mkdir(b'd%d' % i, dir_fd=here)
    inner = os.open(b'd%d' % i, os.O_RDONLY, dir_fd=here)
    os.close(here)
    here = inner
os.close(os.open(b'bottom', os.O_CREAT | os.O_WRONLY, dir_fd=here))
with open(root + b'/sparse', 'wb') as file:
    file.seek(300 << 20)
    file.write(b'end')
    file.seek(100 << 20)
    file.write(b'm' * 70000)
with open(root + b'/big', 'wb') as file:
    for i in range(700):
        file.write(os.urandom(10007))
for size in (0, 1, 4095, 4096, 4097, 16384, 16385, 1048576, 1048577):
    with open(root + b'/size-%d' % size, 'wb') as file:
        file.write(bytes(i * 7 % 251 for i in range(size)))
os.mkfifo(root + b'/fifo')
socket.socket(socket.AF_UNIX).bind(os.fsdecode(root + b'/socket'))
os.mknod(root + b'/null', 0o666 | 0o020000, os.makedev(1, 3))
os.mknod(root + b'/disk', 0o600 | 0o060000, os.makedev(259, 70000))
os.symlink(b'nowhere', root + b'/dangling')
os.symlink(b'loop', root + b'/loop')
os.symlink(b't' * 4000, root + b'/long')
for name in (b'/sub/a/one', b'/sub/b/two', b'/three'):
    os.link(root + b'/size-4097', root + name)
os.chmod(root + b'/size-1', 0o6755)
os.chmod(root + b'/sub/a', 0o1777)
os.chown(root + b'/size-4095', 12345, 2**31)
os.setxattr(root + b'/size-4096', b'user.note', b'\0binary\xff')
os.setxattr(root + b'/size-4096', b'user.empty', b'')
os.setxattr(root + b'/sub', b'user.large', b'x' * 3000)
os.utime(root + b'/size-0', ns=(0, -123456789012345678))
os.utime(root + b'/sub/b', ns=(0, 999999999))
PYTHON
    touch -d '2001-02-03 04:05:06.987654321' "$tree/many"
}
make_tree
python3 "$scratch/dump_tree.py" "$tree" >"$scratch/dump"
check "the tree is imported" vrift import "$tree" --name tree
mkdir "$at"
mounts >"$scratch/mounts"

# -- What is seen -----------------------------------------------------------------------------------------------------

check "a snapshot is mounted" vrift mount tree "$at"
check "the command returns when the mount can be used" is_mounted
check "all of it is what was imported: attributes, contents, holes, links, xattrs" same_tree
check "and again, from the kernel's cache" same_tree
check "a directory of 100000 entries lists them all" prints 100000 bash -c 'ls -U "$1/many" | wc -l' - "$at"
check "a listing has . and .." prints "2" bash -c 'ls -a "$1/sub" | grep -c "^\.\.\?$"' - "$at"
check "a listing can be read in pieces, and gone back in" python3 - "$at/many" <<'PYTHON'
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.opendir.restype = ctypes.c_void_p
libc.readdir.restype = ctypes.c_void_p
libc.readdir.argtypes = libc.telldir.argtypes = libc.rewinddir.argtypes = [ctypes.c_void_p]
libc.telldir.restype = ctypes.c_long
libc.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]
def name():
    entry = libc.readdir(handle)
    return ctypes.string_at(entry + 19) if entry else None
handle = libc.opendir(os.fsencode(sys.argv[1]))
for _ in range(5000):
    name()
where = libc.telldir(handle)
expected = [name() for _ in range(10)]
for _ in range(60000):
    name()
libc.seekdir(handle, where)
assert [name() for _ in range(10)] == expected
libc.rewinddir(handle)
assert name() == b'.' and name() == b'..'
PYTHON
check "hard links are one file" test "$at/sub/a/one" -ef "$at/three"
check_status 1 "a name that is not there is not there" test -e "$at/sub/none"
check_status 1 "nor is one of 256 bytes" test -e "$at/sub/$(printf 'x%.0s' $(seq 256))"
check "scattered reads of a large file agree" python3 - "$tree/big" "$at/big" <<'PYTHON'
import os, random, sys
a, b = (os.open(name, os.O_RDONLY) for name in sys.argv[1:])
size = os.fstat(a).st_size
random.seed(7)
for _ in range(3000):
    at, length = random.randrange(size + 5000), random.randrange(1, 200000)
    assert os.pread(a, length, at) == os.pread(b, length, at), (at, length)
PYTHON
check "a file can be mapped" python3 - "$tree/big" "$at/big" <<'PYTHON'
import mmap, sys
files = [open(name, 'rb') for name in sys.argv[1:]]
a, b = (mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) for file in files)
assert a[:] == b[:]
PYTHON
check "many processes read at once" bash -c 'for i in 1 2 3 4 5 6 7 8; do (cd "$1" && find sub odd size-* big -type f -exec cat {} + | sha256sum) & done | sort -u | wc -l | grep -qx 1' - "$at"
check_status 1 "nothing can be written" touch "$at/new"
check_status 1 "nor changed" chmod 644 "$at/big"
check "statfs says how much there is" test "$(stat -f -c %c "$at")" -ge 100000
check "it is mounted read-only, without devices and setuid" bash -c 'findmnt -no OPTIONS "$1" | grep -q "^ro,nosuid,nodev"' - "$at"

# -- How it ends ------------------------------------------------------------------------------------------------------

exec 9<"$at/big"
check_status 1 "what is in use is not unmounted" vrift umount "$at"
check "and stays" is_mounted
exec 9<&-
check "umount unmounts" vrift umount "$at"
check "nothing stays mounted and nothing runs" nothing_left
check_status 1 "what is not mounted cannot be unmounted" vrift umount "$at"
check_status 1 "nor what others have mounted" vrift umount /proc

in_foreground() {
    "$scratch/vrift" --store "$store" mount tree "$at" -f &
    server=$!
    for _ in $(seq 100); do
        is_mounted && break
        sleep 0.05
    done
}
in_foreground
check "-f serves in the foreground" test -e "$at/big"
for signal in TERM INT HUP; do
    is_mounted || in_foreground
    kill -$signal "$server"
    wait "$server"
    check "SIG$signal unmounts and ends it with 0" test $? = 0
    check "and nothing stays mounted or running after SIG$signal" nothing_left
done
in_foreground
exec 9<"$at/big"
kill -TERM "$server"
wait "$server"
check "SIGTERM unmounts even what is in use" test $? = 0
exec 9<&-
check "and nothing stays mounted after that" nothing_left
in_foreground
umount "$at"
wait "$server"
check "umount(8) ends the server" test $? = 0
in_foreground
kill -KILL "$server"
wait "$server" 2>/dev/null
check_status 1 "if the server is killed, readers get an error at once" timeout 10 cat "$at/sub/b/none"
check "and it can be unmounted" vrift umount "$at"
check "and nothing stays then" nothing_left
vrift mount tree "$at" <&- >&- 2>&-
check "a mount made without any standard descriptor serves what is in its files" cmp "$tree/big" "$at/big"
check "and is unmounted" vrift umount "$at"

# -- Bad input --------------------------------------------------------------------------------------------------------

check "a mount point that is not there is named" \
    prints "vrift: mount: $scratch/none: No such file or directory" vrift mount tree "$scratch/none"
check "a mount point that is a file is refused" \
    prints "vrift: mount: $scratch/vrift: Not a directory" vrift mount tree "$scratch/vrift"
check_status 1 "a snapshot that is not there is refused" vrift mount no-such "$at"

# -- An ordinary user -------------------------------------------------------------------------------------------------

user_mounts() {
    as_user bash -c '
        set -e
        trap "\"$1/vrift\" --store \"$2\" umount \"$3\" 2>/dev/null || true" EXIT
        "$1/vrift" --store "$2" import "$4" --name tree >/dev/null
        "$1/vrift" --store "$2" mount tree "$3"
        diff <(python3 "$1/dump_tree.py" "$4") <(python3 "$1/dump_tree.py" "$3")
        "$1/vrift" --store "$2" umount "$3"
        trap - EXIT
        ! mountpoint -q "$3"' - "$scratch" "$scratch/user-store" "$scratch/user-mount, a" "$scratch/user-tree"
}
if [ -n "$no_fusermount" ]; then
    skip "an ordinary user mounts through fusermount3" "$no_fusermount"
else
    mkdir -p "$scratch/user-store" "$scratch/user-mount, a" "$scratch/user-tree/sub"
    cp -a "$tree/odd" "$tree"/size-* "$scratch/user-tree"
    chown -R $ordinary:$ordinary "$scratch"/user-*
    check "an ordinary user mounts and unmounts through fusermount3" user_mounts
    check "and nothing of it stays" nothing_left
fi
finish
