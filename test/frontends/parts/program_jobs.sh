# SPDX-License-Identifier: Apache-2.0 OR MIT
# What programs_test.sh has programs do in an empty directory, on a tmpfs and on a mount of ours, at the same path: so
# all they print and leave must be the same. Each job is a function; run one with: bash program_jobs.sh JOB
set -euo pipefail
export LC_ALL=C TZ=UTC HOME=$PWD/home GIT_CONFIG_NOSYSTEM=1
export GIT_AUTHOR_DATE="2001-02-03T04:05:06Z" GIT_COMMITTER_DATE="2001-02-03T04:05:06Z"
export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=C GIT_COMMITTER_EMAIL=c@example.org

# A real repository: this project's own, or where that is not one, of its sources.
job_git() {
    git config --global safe.directory '*'
    git config --global init.defaultBranch main
    git config --global advice.detachedHead false
    git config --global pack.threads 1
    if git -C "$VRIFT_SOURCE" rev-parse HEAD >/dev/null 2>&1; then
        git clone -q --no-local --depth 20 "file://$VRIFT_SOURCE" clone
    else
        git init -q clone
        cp -r "$VRIFT_SOURCE/src" "$VRIFT_SOURCE/include" clone
        git -C clone add .
        git -C clone commit -qm first
    fi
    cd clone
    git status --short
    git log --oneline | wc -l
    git checkout -q -b work
    for i in 1 2 3 4 5; do
        echo "line $i" >>added
        git mv -f src/core/str.c "src/core/str-$i.c"
        git add added
        git commit -qam "commit $i"
        git mv "src/core/str-$i.c" src/core/str.c
        git commit -qam "back $i"
    done
    git rm -rq src/store
    git commit -qm "less"
    git checkout -q HEAD~1
    git stash list
    echo dirty >>README.md
    git stash -q
    git checkout -q work
    git merge -q --no-edit HEAD~3 || true
    git branch -f old HEAD~2
    git worktree add -q ../second old
    git tag -a v1 -m one
    git gc -q --prune=now
    git fsck --full --strict
    git status --short
    git count-objects -v | grep -v size
    git rev-parse HEAD
    git ls-files --stage | sha256sum
    git grep -c vrift_openat -- src | tail -n 3
    git clean -fdxn
    git archive HEAD | sha256sum
    # What tells of inode numbers and times.
    rm -f .git/index .git/worktrees/*/index .git/gc.log
}

job_build() {
    mkdir -p src
    for i in $(seq 12); do
        printf '#include "all.h"\nint f%d(int x) { return x * %d + ADD; }\n' "$i" "$i" >"src/f$i.c"
        printf 'int f%d(int x);\n' "$i" >>src/all.h
    done
    printf '#define ADD 1\n' >>src/all.h
    { printf '#include "all.h"\n#include <stdio.h>\nint main(void) { int s = 0;\n'
      for i in $(seq 12); do printf 's += f%d(s);\n' "$i"; done
      printf 'printf("%%d\\n", s); return 0; }\n'; } >src/main.c
    cat >CMakeLists.txt <<'CMAKE'
cmake_minimum_required(VERSION 3.20)
project(small C)
file(GLOB SOURCES src/f*.c)
add_library(parts STATIC ${SOURCES})
add_library(shared SHARED ${SOURCES})
add_executable(small src/main.c)
target_link_libraries(small parts)
add_custom_command(OUTPUT made.txt COMMAND small > made.txt DEPENDS small)
add_custom_target(run ALL DEPENDS made.txt)
CMAKE
    cmake -G Ninja -S . -B build >/dev/null
    ninja -j 1 -C build | tail -n 1
    cat build/made.txt
    ninja -C build
    sleep 0.05
    printf '#define MORE 2\n' >>src/all.h
    ninja -j 1 -C build | tail -n 1
    ninja -C build
    cp -a build/libparts.a kept.a
    strip -o stripped build/small
    ./stripped
    rm -f build/.ninja_log build/.ninja_deps
    find build -name '*.log' -o -name '*.yaml' | xargs -r rm -f
    rm -rf build/CMakeFiles/CMakeScratch build/CMakeFiles/CMakeTmp
}

job_sqlite() {
    sqlite3 one.db 'PRAGMA page_size=4096; PRAGMA journal_mode=WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, who TEXT, n INT);
        CREATE INDEX i ON t(n);'
    python3 - <<'PYTHON'
import multiprocessing, sqlite3

def write(who):
    db = sqlite3.connect('one.db', timeout=60, isolation_level=None)
    db.execute('PRAGMA synchronous=NORMAL')
    for n in range(60):
        db.execute('BEGIN IMMEDIATE')
        db.executemany('INSERT INTO t(who, n) VALUES(?, ?)', [(who, n * 10 + k) for k in range(10)])
        db.execute('ROLLBACK' if n % 7 == 3 else 'COMMIT')
    db.close()

def read():
    db = sqlite3.connect('one.db', timeout=60)
    last = 0
    for _ in range(60):
        count = db.execute('SELECT count(*) FROM t').fetchone()[0]
        assert count >= last and count % 10 == 0, (count, last)
        last = count
    db.close()

workers = [multiprocessing.Process(target=write, args=(w,)) for w in ('a', 'b')] + [multiprocessing.Process(target=read)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
    assert worker.exitcode == 0
PYTHON
    sqlite3 one.db 'PRAGMA integrity_check; SELECT who, count(*), sum(n) FROM t GROUP BY who ORDER BY who;
        PRAGMA wal_checkpoint(TRUNCATE);'
    ls
    for mode in DELETE TRUNCATE PERSIST WAL; do
        sqlite3 "$mode.db" "PRAGMA journal_mode=$mode; PRAGMA mmap_size=1000000; CREATE TABLE t(a, b);
            WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 3000) INSERT INTO t SELECT x, hex(x * 7) FROM c;
            DELETE FROM t WHERE a % 3 = 0; VACUUM; PRAGMA integrity_check; SELECT count(*) FROM t;"
    done
    rm one.db PERSIST.db-journal # rows of two writers in any order; random numbers
}

# A tree with everything that copies must keep.
make_tree() {
    mkdir -p tree/sub/deep tree/closed
    for i in $(seq 40); do printf '%*d' $((i * i * 7)) "$i" >"tree/sub/file-$i"; done
    ln tree/sub/file-3 tree/sub/deep/hard
    ln tree/sub/file-3 tree/hard
    ln -s sub/file-4 tree/soft
    ln -s nowhere tree/dangling
    mkfifo tree/fifo
    mknod tree/null c 1 3
    mknod tree/disk b 7 300
    truncate -s 3M tree/sparse
    printf end | dd of=tree/sparse bs=1 seek=2000000 conv=notrunc status=none
    printf text >"tree/ odd
name"
    chmod 4755 tree/sub/file-5
    chmod 2775 tree/sub
    chmod 1777 tree/sub/deep
    chmod 0400 tree/sub/file-6
    chown 1000:1001 tree/sub/file-7
    chown -h 1002:1003 tree/soft
    chown 1000 tree/closed
    chmod 700 tree/closed
    printf secret >tree/closed/secret
    setfattr -n user.note -v 'a value' tree/sub/file-8
    setfattr -n user.binary -v 0x00ff00 tree/sub
    setfattr -n trusted.note -v root tree/sub/file-9
    setfacl -m u:1000:rw,g:1001:r,m::rw tree/sub/file-10
    setfacl -m d:u:1000:rwx,d:g:1001:rx,u:1005:rx tree/sub/deep
    find tree ! -type d -exec touch -h -d '2005-06-07 08:09:10.5' {} +
    touch -d '1969-12-31 12:00:00.123456789' tree/sub/file-11
    touch -d '2020-02-03 04:05:06.987654321' tree/sub/file-12
    find tree -depth -type d -exec touch -d '2010-11-12 13:14:15.161718192' {} +
    touch -h -d '2011-01-01' tree/soft
}

job_copies() {
    make_tree
    cp -a tree cp
    rsync -aHAX tree/ rsync
    rsync -aHAX --itemize-changes tree/ rsync
    printf changed >>rsync/sub/file-1
    touch -d 2006-01-01 rsync/sub/file-1
    chmod 600 rsync/sub/file-2
    setfacl -b rsync/sub/file-10
    rm rsync/sub/file-20
    rsync -aHAX --delete --itemize-changes tree/ rsync
    rsync -aHAX --sparse --inplace tree/ rsync
    tar --xattrs --xattrs-include='*' --acls --numeric-owner --sort=name -cf tree.tar tree
    tar tf tree.tar | wc -l
    mkdir tar
    tar --xattrs --xattrs-include='*' --acls --numeric-owner -C tar -xf tree.tar
    tar --xattrs --acls -C tar -df tree.tar
    rm tree.tar # its order of hard links and the times of last access
    python3 "$VRIFT_SOURCE/test/support/dump_tree.py" --acls --no-holes tree >dump-tree
    for copy in cp rsync tar/tree; do
        python3 "$VRIFT_SOURCE/test/support/dump_tree.py" --acls --no-holes "$copy" | diff dump-tree - || exit 1
        echo "$copy is the same"
    done
    getfacl -R tree/sub/deep tree/sub/file-10
    find tree -perm -4000 -o -perm -2000 | sort
    find . -newermt 2019-01-01 ! -newermt 2021-01-01 -type f | sort
    du -s --apparent-size tree/sparse
    cp -r --reflink=auto tree/sub plain
    chmod -R u+rwX,go-w plain
    mv plain moved
    rm -r moved
}

job_editors() {
    umask 022
    printf 'one\ntwo\n' >file
    chmod 640 file
    chown 1000:1001 file
    # Write beside it and rename, as most do.
    cp -p file .file.tmp && printf 'three\n' >>.file.tmp && mv .file.tmp file
    stat -c '%a %u:%g %h' file
    # vim, backupcopy=no: the old one becomes the backup, a new one takes its name.
    ( set -C; : >.file.swp; )
    mv file file~
    cat file~ >file
    chmod --reference=file~ file
    chown --reference=file~ file
    sync file
    rm file~ .file.swp
    stat -c '%a %u:%g %h' file
    # vim, backupcopy=yes: a backup is made, the file is written in place, and its other names see it.
    ln file other
    cp -p file file~
    printf 'four\n' | dd of=file conv=notrunc oflag=append status=none
    cmp file other
    : >file && printf 'new\n' >file
    cat other
    rm file~
    # emacs: a numbered backup by rename, and a lock that is a symlink to nothing.
    ln -s 'user@host.1234:5' .#file
    readlink .#file
    mv file file.~1~
    printf 'emacs\n' >file
    rm .#file
    stat -c '%h' file.~1~ file
    # Programs that exchange, append, patch.
    sed -i 's/emacs/sed/' file
    printf -- '--- a\n+++ b\n@@ -1 +1 @@\n-sed\n+patch\n' | patch -s file
    cat file
    install -m 750 -o 1000 file installed
    stat -c '%a %u' installed
    ln -sfn installed link && ln -sfn file link && readlink link
    for i in 1 2 3 4 5 6 7 8; do (exec 9>>log; flock 9; echo "$i" >>log; cat log >/dev/null) & done
    wait
    sort log | tr '\n' ' '
    rm log
    mktemp -p . -u >/dev/null
    f=$(mktemp -p .); printf x >"$f"; mv "$f" made; stat -c %a made
    # An open file that lost its name, and one that got another meanwhile.
    exec 8<file; rm file; cat <&8; exec 8<&-
    printf 'a\n' >first; exec 8>>first; mv first second; echo b >&8; exec 8>&-; cat second
    tail -n +1 -f second >tailed & tail=$!
    sleep 0.3; echo c >>second; sleep 1.3; kill $tail; wait $tail || true
    cat tailed
    mkdir -p d/e; cd d/e; mv ../../d ../../moved; pwd -P | sed 's:.*/\(moved\):\1:'; cd ../..
    (cd moved && find . | sort)
}

# After fsx: whatever is done to a file, in whatever way, it is what the model says.
job_contents() {
    python3 - <<'PYTHON'
import ctypes, mmap, os, random
libc = ctypes.CDLL(None, use_errno=True)
rng = random.Random(7)
most, model = 300000, bytearray()
plain = os.open('f', os.O_RDWR | os.O_CREAT, 0o644)
page = mmap.mmap(-1, 1 << 16)

def grow(size):
    model.extend(bytes(max(0, size - len(model))))

def write(fd):
    at, data = rng.randrange(most), rng.randbytes(rng.randrange(1, 30000))
    os.pwrite(fd, data, at)
    grow(at + len(data))
    model[at:at + len(data)] = data

def truncate():
    size = rng.randrange(most)
    os.ftruncate(plain, size) if rng.randrange(2) else os.truncate('f', size)
    del model[size:]
    grow(size)

def append():
    fd = os.open('f', os.O_WRONLY | os.O_APPEND)
    data = rng.randbytes(rng.randrange(1, 5000))
    os.write(fd, data)
    os.close(fd)
    model.extend(data)

def map_write():
    if not model:
        return
    with mmap.mmap(plain, len(model)) as mapped:
        at, data = rng.randrange(len(model)), rng.randbytes(rng.randrange(1, 20000))
        data = data[:len(model) - at]
        assert mapped[at:at + len(data)] == model[at:at + len(data)]
        mapped[at:at + len(data)] = data
        model[at:at + len(data)] = data

def read():
    at, length = rng.randrange(most), rng.randrange(1, 60000)
    assert os.pread(plain, length, at) == model[at:at + length]

def direct():
    fd = os.open('f', os.O_RDWR | os.O_DIRECT)
    at, length = rng.randrange(most) & ~4095, rng.randrange(1, 5) * 4096
    if rng.randrange(2):
        data = rng.randbytes(length)
        page[:length] = data
        os.pwritev(fd, [memoryview(page)[:length]], at)
        grow(at + length)
        model[at:at + length] = data
    else:
        got = os.preadv(fd, [memoryview(page)[:length]], at)
        assert page[:got] == model[at:at + length]
    os.close(fd)

def punch():
    at, length = rng.randrange(most), rng.randrange(1, 50000)
    assert libc.fallocate(plain, 3, ctypes.c_long(at), ctypes.c_long(length)) == 0
    model[at:at + length] = bytes(len(model[at:at + length]))

def allocate():
    at, length = rng.randrange(most), rng.randrange(1, 50000)
    os.posix_fallocate(plain, at, length)
    grow(at + length)

def copy():
    if len(model) < 10:
        return
    length = rng.randrange(1, len(model) // 2)
    at, to = rng.randrange(len(model) // 2 - length + 1), rng.randrange(len(model) // 2, most)
    done = os.copy_file_range(plain, plain, length, at, to)
    assert done == length, (done, length)
    data = bytes(model[at:at + length])
    grow(to + length)
    model[to:to + length] = data

def through_another():
    other = os.open('f', os.O_RDWR)
    write(other)
    os.close(other)

def sync():
    os.fsync(plain)
    os.posix_fadvise(plain, 0, 0, os.POSIX_FADV_DONTNEED)

for step in range(2500):
    rng.choice([lambda: write(plain), read, read, truncate, append, map_write, direct, punch, allocate, copy, through_another, sync])()
    assert os.fstat(plain).st_size == len(model), (step, os.fstat(plain).st_size, len(model))
with open('f', 'rb') as file:
    assert file.read() == model
print(len(model))
PYTHON
}

job_maps() {
    python3 - <<'PYTHON'
import mmap, os, random
random.seed(1)
size = 1 << 20
model = bytearray(size)
fd = os.open('map', os.O_RDWR | os.O_CREAT, 0o644)
os.ftruncate(fd, size)
shared = mmap.mmap(fd, size)
for _ in range(3000):
    at, length = random.randrange(size - 5000), random.randrange(1, 5000)
    data = random.randbytes(length)
    kind = random.randrange(4)
    if kind == 0:
        shared[at:at + length] = data
    elif kind == 1:
        os.pwrite(fd, data, at)
    if kind < 2:
        model[at:at + length] = data
    elif kind == 2:
        assert shared[at:at + length] == model[at:at + length]
    else:
        assert os.pread(fd, length, at) == model[at:at + length]
shared.close()
os.close(fd)
with open('map', 'rb') as file:
    assert file.read() == model
pid = os.fork()
if pid == 0:
    m = mmap.mmap(os.open('map', os.O_RDWR), size)
    m[100:105] = b'child'
    os._exit(0)
os.waitpid(pid, 0)
with open('map', 'rb') as file:
    file.seek(100)
    print(file.read(5))
PYTHON
    gcc -x c -o prog - <<'C'
int table[100000] = {1, 2, 3};
int main(void) { return table[2] - 3; }
C
    ./prog
    cp prog copy && ./copy && rm prog && ./copy
    printf 'int f(void) { return 7; }' | gcc -shared -fPIC -x c -o lib.so -
    python3 -c 'import ctypes; print(ctypes.CDLL("./lib.so").f())'
}

mkdir -p home
"job_$1"
