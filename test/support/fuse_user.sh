# SPDX-License-Identifier: Apache-2.0 OR MIT
# What the tests of front-ends need to know of the machine. Source it after tap.sh.
#
#   no_overlay               why root cannot have an overlay here; empty: he can
#   no_user_overlay          why an ordinary user cannot; empty: he can, by as_user
#   no_fusermount            why an ordinary user cannot mount through fusermount3; empty: he can, by as_user
#   as_user COMMAND...       runs it as an ordinary user who may open /dev/fuse, in a mount namespace of its own
#   become_user COMMAND...   the same in place of the calling shell
#   mounts                   every mount there is, one line each
#   no_new_mounts FILE       whether there is none that FILE, of an earlier time, does not have
#
# The test goes on in a mount namespace of its own where it may, so that what other tests mount and unshare does not
# matter to it.

if [ -z "${vrift_test_apart:-}" ] && unshare -m true 2>/dev/null; then
    vrift_test_apart=1 exec unshare -m bash "$0" "$@"
fi

mounts() {
    findmnt -rn -o TARGET,SOURCE,FSTYPE | sort
}

# Others may unmount what is theirs meanwhile: removing a directory outside unmounts what lies on it here.
no_new_mounts() {
    ! comm -13 "$1" <(mounts) | grep .
}

ordinary=65534
[ "$(id -u)" -eq 0 ] || ordinary=$(id -u)

become_user() {
    [ "$(id -u)" -eq 0 ] || exec "$@"
    exec unshare -m bash -c '
        set -e
        mount -t tmpfs -o mode=755 vrift-test /mnt
        mknod -m 666 /mnt/fuse c 10 229
        mount --bind /mnt/fuse /dev/fuse
        umount -l /mnt
        exec setpriv --reuid "$0" --regid "$0" --clear-groups "$@"' "$ordinary" "$@"
}

as_user() {
    (become_user "$@")
}

no_fuse=
if ! grep -qw overlay /proc/filesystems && ! modprobe overlay 2>/dev/null; then
    no_fuse="the kernel has no overlayfs"
elif [ ! -c /dev/fuse ] || ! : 2>/dev/null <>/dev/fuse; then
    no_fuse="/dev/fuse cannot be opened"
fi
no_overlay=$no_fuse
no_user_overlay=$no_fuse
if [ "$(id -u)" -ne 0 ]; then
    no_overlay="needs root"
elif [ -z "$no_overlay" ] && ! unshare -m true 2>/dev/null; then
    no_overlay="mount namespaces are refused"
    no_user_overlay=$no_overlay
fi
if [ -z "$no_user_overlay" ] && ! as_user unshare -Urm true 2>/dev/null; then
    no_user_overlay="user namespaces are refused"
fi
no_fusermount=$no_user_overlay
if ! command -v fusermount3 >/dev/null; then
    no_fusermount="there is no fusermount3"
elif [ ! -e /etc/mtab ]; then
    no_fusermount="fusermount3 needs /etc/mtab, which is not there"
fi
