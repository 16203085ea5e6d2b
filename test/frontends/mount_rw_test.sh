#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# vrift mount of what can be changed: the kernel's own tmpfs answers the same to the same calls; who may; how it ends.
source "${VRIFT_SOURCE:?}/test/support/tap.sh"
source "$VRIFT_SOURCE/test/support/fuse_user.sh"
scratch
chmod 755 "$scratch"
# A name of its own, by which its processes are found.
cp "$VRIFT_BUILD/bin/vrift" "$scratch/vrift"
cp "$VRIFT_SOURCE"/test/support/fs_{calls,random}.py "$scratch"
unset VRIFT_STORE
export VRIFT_STORE="$scratch/store"
at="$scratch/at, \\1"

vrift() {
    timeout -k 5 60 "$scratch/vrift" "$@"
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

if [ -n "$no_fuse" ] || [ "$(id -u)" -ne 0 ]; then
    skip "a tree is mounted read-write" "${no_fuse:-needs root}"
    finish
fi
at_exit 'umount -l "$at" "$scratch"/tmpfs/* 2>/dev/null'
mkdir "$at" "$scratch/tmpfs"
mounts >"$scratch/mounts"

# -- The same calls on the kernel's tmpfs -----------------------------------------------------------------------------

# new_tmpfs NAME: an empty one, where nothing of an earlier one is
new_tmpfs() {
    mkdir -p "$scratch/tmpfs/$1"
    mount -t tmpfs -o mode=1777 vrift-test "$scratch/tmpfs/$1"
}
answers() {
    (cd "$1" && timeout -k 5 100 python3 "$scratch/fs_calls.py" "${@:2}" 2>&1)
}
# random SOURCE OPTIONS OPTION...
random() {
    local status
    new_tmpfs kernel
    mount -o remount,nodev "$scratch/tmpfs/kernel"
    vrift mount "$1" "$at" -o "allow_other,suid$2" || return 1
    timeout -k 5 100 python3 "$scratch/fs_random.py" "${@:3}" "$scratch/tmpfs/kernel" "$at"
    status=$?
    umount "$scratch/tmpfs/kernel"
    vrift umount "$at" && return $status
}
# like_tmpfs SOURCE OPTIONS [--without WORD]...
like_tmpfs() {
    new_tmpfs kernel
    mount -o "remount,$([[ $2 = *,dev* ]] && echo dev || echo nodev)" "$scratch/tmpfs/kernel"
    answers "$scratch/tmpfs/kernel" "${@:3}" >"$scratch/expected"
    umount "$scratch/tmpfs/kernel"
    vrift mount "$1" "$at" -o "allow_other,suid$2" || return 1
    answers "$at" "${@:3}" >"$scratch/got"
    vrift umount "$at" || return 1
    diff "$scratch/expected" "$scratch/got"
}
check "memory answers as tmpfs does" like_tmpfs mem: ""
check "and so when the kernel checks permissions by itself" like_tmpfs mem: ,dev,default_permissions
new_tmpfs dir
check "a directory answers as what it lies on" like_tmpfs "dir:$scratch/tmpfs/dir" "" --without access_times
new_tmpfs own
check "and so if nobody else changes it, with the kernel's caches" \
    like_tmpfs "dir:$scratch/tmpfs/own" ,exclusive --without access_times
check "memory answers random questions of several users as tmpfs does" random mem: "" --loose --ops 2000 --seed 1
check "and so when the kernel checks permissions" random mem: ,default_permissions --ops 2000 --seed 2
rm -rf "$scratch"/tmpfs/{dir,own}/*
check "and a directory" random "dir:$scratch/tmpfs/dir" "" --loose --ops 1000 --seed 3
check "and a directory of our own" random "dir:$scratch/tmpfs/own" ,exclusive --loose --ops 1500 --seed 4
new_tmpfs layers
mkdir "$scratch"/tmpfs/layers/{lower,upper,work}
chmod 1777 "$scratch/tmpfs/layers/upper"
layers="lowerdir=$scratch/tmpfs/layers/lower,upperdir=$scratch/tmpfs/layers/upper,workdir=$scratch/tmpfs/layers/work"
# As the kernel's: no whiteouts by rename.
check "an empty overlay answers as what it lies on" like_tmpfs overlay: ",$layers" --without access_times --without renames
umount "$scratch"/tmpfs/{dir,own,layers}
check "nothing stays mounted and nothing runs" nothing_left

# -- Sources ----------------------------------------------------------------------------------------------------------

mkdir -p "$scratch/tree/sub" "$scratch/upper" "$scratch/work"
echo lower >"$scratch/tree/sub/file"
mounted() {
    vrift mount "$@" || return 1
    cat "$at/sub/file" && echo changed >"$at/sub/file" && echo new >"$at/sub/new" && cat "$at/sub/file"
}
check "a bare path is a directory" prints $'lower\nchanged' mounted "$scratch/tree" "$at"
check "what is written is in it" prints $'changed\nnew' cat "$scratch/tree/sub/file" "$scratch/tree/sub/new"
echo behind >"$scratch/tree/sub/file"
mv "$scratch/tree/sub/new" "$scratch/tree/sub/newer"
check "what others write is seen" prints $'behind\nnew' cat "$at/sub/file" "$at/sub/newer"
check_status 1 "what others take away is gone" cat "$at/sub/new"
check "it is unmounted" vrift umount "$at"
vrift import "$scratch/tree" --name tree >/dev/null
vrift workspace create place tree >/dev/null
check "a workspace" prints $'behind\nchanged' mounted ws:place "$at"
check_status 1 "is not mounted twice" vrift mount ws:place "$scratch/upper"
check "and unmounted" vrift umount "$at"
sleep 0.3
check "it knows what changed" prints $'M sub/file\nA sub/new' bash -c '"$1" workspace status place | grep -v ^P' - "$scratch/vrift"
echo lower >"$scratch/tree/sub/file"
check "an overlay" prints $'lower\nchanged' mounted overlay: "$at" -o "lowerdir=$scratch/tree,upperdir=$scratch/upper,workdir=$scratch/work"
check "is unmounted" vrift umount "$at"
check "its lower layer is as it was" prints lower cat "$scratch/tree/sub/file"
check "its upper layer has the change" prints changed cat "$scratch/upper/sub/file"
vrift mount overlay: "$at" -o "lowerdir=$scratch/upper:$scratch/tree"
check "an overlay without an upper layer is read-only" bash -c '! touch "$1/x" 2>/dev/null && [ "$(cat "$1/sub/file")" = changed ]' - "$at"
vrift umount "$at"
vrift mount snap:tree "$at"
check "a snapshot is read-only" bash -c '! touch "$1/x" 2>/dev/null && [ "$(cat "$1/sub/file")" = behind ]' - "$at"
vrift umount "$at"
check "nothing of all that stays" nothing_left

# -- Waiting for locks -------------------------------------------------------------------------------------------------

waits() {
    python3 - "$at" <<'PYTHON'
import fcntl, os, signal, struct, sys, time
os.chdir(sys.argv[1])
class Interrupted(Exception):
    pass

def alarm(*_):
    raise Interrupted

signal.signal(signal.SIGALRM, alarm)
fd = os.open('lock', os.O_RDWR | os.O_CREAT)
for lock in (lambda fd: fcntl.flock(fd, fcntl.LOCK_EX), lambda fd: fcntl.lockf(fd, fcntl.LOCK_EX, 10, 5)):
    ready, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        lock(os.open('lock', os.O_RDWR))
        os.write(told, b'x')
        time.sleep(1.5)
        os._exit(0)
    os.read(ready, 1)
    begun = time.monotonic()
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        lock(fd)
        sys.exit('had the lock that another holds')
    except Interrupted:
        pass
    assert time.monotonic() - begun < 1.2
    # Many wait at once; none of them keeps the server from serving the others.
    waiters = []
    for _ in range(50):
        waiter = os.fork()
        if waiter == 0:
            lock(os.open('lock', os.O_RDWR))
            os._exit(7)
        waiters.append(waiter)
    os.listdir('.')
    os.kill(waiters[0], signal.SIGKILL)
    lock(fd)
    fcntl.flock(fd, fcntl.LOCK_UN)
    fcntl.lockf(fd, fcntl.LOCK_UN)
    os.waitpid(pid, 0)
    assert sorted(os.waitstatus_to_exitcode(os.waitpid(w, 0)[1]) for w in waiters) in ([-9] + [7] * 49, [7] * 50)
# A lock of an open file description ends with its last descriptor, not with another's of the file.
ofd = struct.pack('hhqqi', fcntl.F_WRLCK, 0, 0, 0, 0)
one, two = os.open('lock', os.O_RDWR), os.open('lock', os.O_RDWR)
fcntl.fcntl(one, fcntl.F_OFD_SETLK, ofd)
os.close(os.open('lock', os.O_RDWR))
try:
    fcntl.fcntl(two, fcntl.F_OFD_SETLK, ofd)
    sys.exit('had the lock of another description')
except BlockingIOError:
    pass
os.close(one)
fcntl.fcntl(two, fcntl.F_OFD_SETLK, ofd)
PYTHON
}
vrift mount mem: "$at"
check "who waits for a lock can be interrupted, keeps nobody from being served, and gets it" waits
flags() {
    (cd "$at" && touch kept && mkdir log && chattr +i kept && chattr +a log && touch log/x && ! rm kept 2>/dev/null &&
        ! rm log/x 2>/dev/null && [ "$(lsattr -d log kept | cut -c5,6 | tr '\n' ' ')" = "-a i- " ] && chattr -i kept && chattr -a log && rm -r kept log)
}
if command -v chattr >/dev/null; then
    check "immutable and append-only flags bind" flags
else
    skip "immutable and append-only flags bind" "there is no chattr"
fi
vrift umount "$at"

# -- Who asks -----------------------------------------------------------------------------------------------------------

# asks WHAT: as root in the mount
asks() {
    python3 - "$at" "$1" <<'PYTHON'
import ctypes, os, sys

def fork(ids, call):
    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        os.setresgid(*ids)
        os.setresuid(*ids)
        os._exit(call())
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def change(how):
    fd = os.open('program', os.O_WRONLY)
    how(fd)
    os.close(fd)
    return 0

def privileges():
    changes = [lambda fd: os.posix_fallocate(fd, 0, 1 << 20), lambda fd: os.ftruncate(fd, 1 << 20),
               lambda fd: os.copy_file_range(os.open('data', os.O_RDONLY), fd, 10, 0, 0),
               lambda fd: os.close(os.open('program', os.O_WRONLY | os.O_TRUNC)) or os.write(fd, program)]
    with open('/usr/bin/id', 'rb') as file:
        program = file.read()
    with open('data', 'wb') as file:
        file.write(program)
    os.chmod('data', 0o644)
    for how in changes:
        with open('program', 'wb') as file:
            file.write(program)
        os.chmod('program', 0o4777)
        assert fork((1000,) * 3, lambda: change(how)) == 0
        # The kernel decides by what it remembers: nobody asks for the attributes in between.
        ready, told = os.pipe()
        assert fork((1000,) * 3, lambda: os.dup2(told, 1) and os.execv('./program', ['id', '-u'])) == 0
        said = os.read(ready, 100)
        assert said == b'1000\n', said
        os.unlink('program')

def real():
    with open('secret', 'w'):
        os.chmod('secret', 0o600)
    assert fork((1000, 0, 0), lambda: os.access('secret', os.R_OK)) == 0
    assert fork((0, 1000, 1000), lambda: os.access('secret', os.R_OK)) == 1
    with open('grouped', 'w'):
        os.chown('grouped', 0, 1000)
        os.chmod('grouped', 0o640)
    assert fork((1000, 0, 0), lambda: os.access('grouped', os.R_OK)) == 1

def namespace():
    with open('theirs', 'w'):
        os.chown('theirs', 1000, 1000)
        os.chmod('theirs', 0o600)
    open('theirs').close()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x10000000):
        return
    try:
        open('theirs')
        sys.exit('capabilities of another namespace count')
    except PermissionError:
        pass

os.chdir(sys.argv[1])
globals()[sys.argv[2]]()
PYTHON
}
vrift mount mem: "$at" -o allow_other,suid
check "who may not keep set-user-ID bits loses them, and the kernel hears of it" asks privileges
check "access(2) asks for the real user" asks real
check "who goes to a user namespace of his own leaves his capabilities behind" asks namespace
vrift umount "$at"

seeks() {
    python3 - "$1" <<'PYTHON'
import ctypes, os, sys

libc = ctypes.CDLL(None, use_errno=True)
libc.getdents64.restype = ctypes.c_ssize_t
libc.lseek64.restype = ctypes.c_int64
buffer = ctypes.create_string_buffer(65536)
fd = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECTORY)

def read():
    return libc.getdents64(fd, buffer, ctypes.c_size_t(len(buffer)))

def seek(to, whence=0):
    return libc.lseek64(fd, ctypes.c_int64(to), whence)

places = [0]
while read():
    places.append(seek(0, 1))
for count in range(1, len(places) - 1):
    seek(0)
    for _ in range(count):
        read()
    seek(places[-1])
    assert read() == 0
    seek(places[count])
    assert read() > 0, 'nothing is left at %d of %d' % (count, len(places))
PYTHON
}
mkdir "$scratch/tmpfs/many"
mount -t tmpfs vrift-test "$scratch/tmpfs/many"
(cd "$scratch/tmpfs/many" && seq -f 'a-rather-long-name-%g' 3000 | xargs touch)
vrift mount "dir:$scratch/tmpfs/many" "$at"
check "who went to the end of a directory may go back" seeks "$at"
vrift umount "$at"
umount "$scratch/tmpfs/many"

# -- Options ----------------------------------------------------------------------------------------------------------

option_words() { findmnt -no "$1" "$at"; }
vrift mount mem: "$at" -o fsname=some,noexec,uid=1000,gid=1001,mode=750,size=64m
check "the source has the name that is asked for" prints some option_words SOURCE
check "set-user-ID bits and devices are not obeyed by default" bash -c 'findmnt -no OPTIONS "$1" | grep -q "^rw,nosuid,nodev,noexec"' - "$at"
check "the root is whose it is said to be" prints "750 1000 1001" stat -c '%a %u %g' "$at"
check "there is as much room as is said" prints 65536 bash -c 'df --output=size "$1" | tail -n 1 | tr -d " "' - "$at"
check_status 1 "and no more" dd if=/dev/zero of="$at/big" bs=1M count=80 status=none
rm -f "$at/big"
check_status 2 "without allow_other nobody else may come" setpriv --reuid 1000 --regid 1001 --clear-groups ls "$at"
check "it can be made read-only" vrift mount mem: "$at" -o remount,ro
check_status 1 "and is" touch "$at/x"
check "and writable again" vrift mount mem: "$at" -o remount,rw
check "and is, too" touch "$at/x"
vrift umount "$at"
check_status 2 "an option that nobody knows is refused" vrift mount mem: "$at" -o rw,frob
check "by name" bash -c '"$1" mount mem: "$2" -o rw,frob 2>&1 | head -n 1 | grep -q "frob: unknown mount option"' - "$scratch/vrift" "$at"
check_status 2 "and a number that is none" vrift mount mem: "$at" -o size=many
check_status 2 "and an overlay of nothing" vrift mount overlay: "$at"
check_status 1 "and a directory that is not there" vrift mount "dir:$scratch/none" "$at"
vrift mount mem: "$at" -o default_permissions,allow_other
check "with default_permissions the kernel obeys the mode bits" \
    bash -c 'cd "$1" && mkdir d && echo x >d/f && chmod 700 d && ! setpriv --reuid 1000 --clear-groups cat d/f 2>/dev/null' - "$at"
vrift umount "$at"

# -- The helper of mount(8) -------------------------------------------------------------------------------------------

# In /sbin, where mount(8) looks; in a mount namespace of its own.
by_mount() {
    unshare -m bash -c '
        set -e
        mkdir -p "$1/sbin-upper" "$1/sbin-work"
        mount -t overlay -o "lowerdir=/usr/sbin,upperdir=$1/sbin-upper,workdir=$1/sbin-work" vrift-test /usr/sbin
        ln -sf "$1/vrift" /usr/sbin/mount.fuse.vrift
        mount -t fuse.vrift mem: "$2" -o allow_other,noauto,x-test=1,size=1m,nosuid
        mountpoint -q "$2"
        echo text >"$2/file"
        [ "$(findmnt -no FSTYPE,SOURCE "$2")" = "fuse.vrift mem:" ]
        mount -o remount,ro "$2"
        ! touch "$2/x" 2>/dev/null
        umount "$2"
        # From an fstab that is ours.
        printf "%s %s fuse.vrift rw,noauto,allow_other 0 0\n" "dir:$1/tree" "${2//[ ,]/_}" >"$1/fstab"
        mkdir -p "${2//[ ,]/_}"
        mount --fstab "$1/fstab" "${2//[ ,]/_}"
        cat "${2//[ ,]/_}/sub/file"
        umount "${2//[ ,]/_}"' - "$scratch" "$at"
}
if [ -L /sbin ] && unshare -m true 2>/dev/null; then
    check "mount(8) mounts, remounts and reads fstab" by_mount
    check "and its servers end" nothing_left
else
    skip "mount(8) mounts, remounts and reads fstab" "/sbin is not /usr/sbin"
fi
ln -s "$scratch/vrift" "$scratch/mount.fuse.vrift"
streams_closed() {
    # Who reads the helper's output sees its end although the server goes on.
    timeout 20 bash -c '"$1/mount.fuse.vrift" mem: "$2" -o rw 2>&1 | cat' - "$scratch" "$at" && is_mounted
}
check "the helper lets its standard streams go" streams_closed
vrift umount "$at"
check_status 1 "wrong usage is mount(8)'s 1" "$scratch/mount.fuse.vrift" mem:
check_status 32 "a failed mount is mount(8)'s 32" "$scratch/mount.fuse.vrift" mem: "$scratch/none"
check "a mount that is only pretended is none" "$scratch/mount.fuse.vrift" mem: "$at" -f
check_status 32 "and not there" mountpoint -q "$at"

# -- A path that leads back into the mount ----------------------------------------------------------------------------

mkdir "$scratch/tree/inner"
loops() {
    vrift mount "$scratch/tree" "$scratch/tree/inner" || return 1
    timeout 20 ls -l "$scratch/tree/inner" >/dev/null
    timeout 20 find "$scratch/tree/inner" 2>/dev/null | grep -c . | sed 's/^/names /'
    timeout 20 cat "$scratch/tree/inner/sub/file"
    timeout 20 stat "$scratch/tree/inner/inner/sub/file" 2>&1 | grep -o 'Invalid cross-device link\|No such file or directory'
    [ $? -lt 124 ]
    vrift umount "$scratch/tree/inner"
}
check "a mount below the directory it shows does not wait for itself" timeout 100 bash -c "$(declare -f loops vrift); scratch='$scratch'; loops"
onto_itself() {
    vrift mount "$scratch/tree" "$scratch/tree" || return 1
    timeout 20 cat "$scratch/tree/sub/file" || return 1
    vrift umount "$scratch/tree"
}
check "nor one on the directory itself" onto_itself
in_own_storage() {
    local upper=$VRIFT_STORE/workspaces/place/upper-0
    mkdir "$upper/inside" || return 1
    prints "vrift: mount: $upper/inside: lies inside the workspace's own storage: Invalid argument" \
        vrift mount ws:place "$upper/inside"
    local status=$?
    rmdir "$upper/inside"
    return $status
}
check "a workspace is not mounted in its own storage" in_own_storage
check "and nothing of them stays" nothing_left

# -- How it ends ------------------------------------------------------------------------------------------------------

in_foreground() {
    "$scratch/vrift" mount mem: "$at" -f &
    server=$!
    for _ in $(seq 100); do
        is_mounted && break
        sleep 0.05
    done
}
for signal in TERM INT HUP; do
    in_foreground
    echo x >"$at/file"
    kill -$signal "$server"
    wait "$server"
    check "SIG$signal unmounts and ends it with 0" test $? = 0
    check "and nothing stays mounted or running after SIG$signal" nothing_left
done
in_foreground
exec 9>"$at/file"
kill -TERM "$server"
wait "$server"
check "SIGTERM unmounts even what is in use" test $? = 0
check_status 1 "and who uses it gets an error" timeout 10 bash -c 'echo x >&9'
exec 9>&-
check "and nothing stays after that" nothing_left
in_foreground
exec 9>"$at/file"
kill -KILL "$server"
wait "$server" 2>/dev/null
not_connected() { timeout 10 "$@" 2>&1 | grep -q "endpoint is not connected"; }
check "if the server is killed, callers are told at once" not_connected stat "$at/none"
check "with a descriptor too" not_connected bash -c 'echo x >&9'
exec 9>&-
check "and it can be unmounted" vrift umount "$at"
check "and nothing stays then" nothing_left

# -- An ordinary user -------------------------------------------------------------------------------------------------

user_mounts() {
    as_user bash -c '
        set -e
        export VRIFT_STORE="$2"
        trap "\"$1/vrift\" umount \"$3\" 2>/dev/null || true" EXIT
        for source in mem: "dir:$4" overlay:; do
            options=rw
            [ "$source" != overlay: ] || options="lowerdir=$4,upperdir=$4-upper,workdir=$4-work,userxattr"
            "$1/vrift" mount "$source" "$3" -o "$options"
            mkdir "$3/made"
            echo text >"$3/made/file"
            ln "$3/made/file" "$3/made/link"
            chmod 600 "$3/made/link"
            mv "$3/made" "$3/moved"
            [ "$(stat -c "%a %h %u" "$3/moved/file") $(cat "$3/moved/link")" = "600 2 $(id -u) text" ]
            [ "$source" != mem: ] || ! chown 0 "$3/moved/file" 2>/dev/null
            rm -r "$3/moved"
            "$1/vrift" umount "$3"
        done
        mkdir "$4/within"
        ! "$1/vrift" mount "dir:$4" "$4/within" 2>/dev/null
        rmdir "$4/within"
        trap - EXIT
        ! mountpoint -q "$3"' - "$scratch" "$scratch/user-store" "$scratch/user-mount, a" "$scratch/user-tree"
}
if ! command -v fusermount3 >/dev/null; then
    skip "an ordinary user mounts through fusermount3" "there is no fusermount3"
elif [ -n "$no_user_overlay" ]; then
    skip "an ordinary user mounts through fusermount3" "$no_user_overlay"
else
    mkdir -p "$scratch/user-mount, a" "$scratch/user-tree" "$scratch/user-tree-upper" "$scratch/user-tree-work"
    chown -R $ordinary:$ordinary "$scratch"/user-*
    check "an ordinary user mounts and unmounts through fusermount3" user_mounts
    check "and nothing of it stays" nothing_left
fi
finish
