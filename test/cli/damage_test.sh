#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# verify finds a flipped bit, and a file cut short, in each kind of stored file; nothing that reads one crashes.
# Flips are at every byte of small files, else at both ends, in the middle and at random places: VRIFT_FLIPS of them.
source "${VRIFT_SOURCE:?}/test/cli/cli.sh" || exit 1

tree=$scratch/tree
make_tree "$tree"
mkdir "$tree/many"
for i in $(seq 700); do echo "$i" >"$tree/many/an-entry-with-a-long-name-so-that-the-node-is-large-$i"; done
"$vrift" import "$tree" --name top/name >/dev/null
"$vrift" workspace create w top/name
"$vrift" ls -R top/name >/dev/null
check "the store verifies before" "$vrift" verify

cat >"$scratch/flip.py" <<'PY'
"""flip.py VRIFT STORE KIND FILE...: flips bits in copies of the files, one at a time, and sees what is said."""
import os, random, shutil, subprocess, sys
vrift, store, kind = sys.argv[1:4]
count = int(os.environ.get("VRIFT_FLIPS", "8"))
random.seed(os.environ.get("VRIFT_SEED", "vrift") + kind)
bad = 0

def complain(*words):
    global bad
    bad += 1
    if bad < 20:
        print(*words)

def run(*arguments):
    return subprocess.run([vrift, "--store", store, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)

def look(what, path):
    done = run("verify")
    named = os.path.relpath(path, store).encode() in done.stdout or kind == "format"
    if done.returncode != 1:
        complain(what, "verify ended with", done.returncode)
    elif not named:
        complain(what, "verify did not name it:", done.stdout[-300:])
    elif len(done.stderr.splitlines()) != 1:
        complain(what, "verify said", done.stderr)
    dest = store + ".dest"
    for command in (["ls", "-lR", "top/name"], ["checkout", "top/name", dest]):
        done = run(*command)
        if done.returncode not in (0, 1) or (done.returncode == 1 and len(done.stderr.splitlines()) != 1):
            complain(what, command[0], "ended with", done.returncode, done.stderr[-300:])
        if done.returncode == 0 and command[0] == "ls" and done.stdout != listing:
            complain(what, "ls shows what is not there")
        if done.returncode == 0 and command[0] == "checkout" and entries(dest) != wanted:
            complain(what, "a checkout restored something else")
        if done.returncode == 1 and os.path.exists(dest):
            complain(what, "a checkout that failed left DEST")
    shutil.rmtree(dest, ignore_errors=True)

def entries(tree):
    return subprocess.run([os.environ["VRIFT_SOURCE"] + "/script/manifest", tree, "--links"], stdout=subprocess.PIPE).stdout

listing = run("ls", "-lR", "top/name").stdout
run("checkout", "top/name", store + ".dest")
wanted = entries(store + ".dest")
shutil.rmtree(store + ".dest")
for path in sys.argv[4:]:
    with open(path, "rb") as file:
        good = file.read()
    mode = os.stat(path).st_mode
    os.chmod(path, mode | 0o200)
    size = len(good)
    places = set(range(size)) if size <= 3 * count else {0, size // 2, size - 1} | {random.randrange(size) for _ in range(count)}
    for at in sorted(places):
        flipped = bytearray(good)
        flipped[at] ^= 1 << random.randrange(8)
        with open(path, "r+b") as file:
            file.write(flipped)
        look("%s %s byte %d of %d:" % (kind, os.path.relpath(path, store), at, size), path)
    for length in (0, size // 2, size - 1):
        with open(path, "wb") as file:
            file.write(good[:length])
        look("%s %s cut to %d of %d:" % (kind, os.path.relpath(path, store), length, size), path)
    with open(path, "wb") as file:
        file.write(good + b"x")
    look("%s %s with a byte more:" % (kind, os.path.relpath(path, store)), path)
    with open(path, "wb") as file:
        file.write(good)
    os.chmod(path, mode)
print("%d bad" % bad)
sys.exit(bad != 0)
PY

tree_hex=$("$vrift" stat --json top/name:many | python3 -c 'import json, sys; print(json.load(sys.stdin).get("digest", ""))')
large_hex=$("$vrift" stat --json top/name:src/deep/large | python3 -c 'import json, sys; print(json.load(sys.stdin)["digest"])')
find_object() { find "$VRIFT_STORE/objects" -type f | grep -E "${1:0:2}/?${1:2}" | head -n 1; }
pristine=$scratch/pristine
cp -a "$VRIFT_STORE" "$pristine"

found() { # KIND FILE...: one check a kind
    local kind=$1
    shift
    if [ -z "${1:-}" ]; then
        check "there is a $kind to damage" false
        return
    fi
    check "verify finds every flip and cut in a $kind" python3 "$scratch/flip.py" "$vrift" "$VRIFT_STORE" "$kind" "$@"
    rm -rf "$VRIFT_STORE"
    cp -a "$pristine" "$VRIFT_STORE"
}
found "loose blob" "$(find_object "$large_hex")"
[ -z "$tree_hex" ] || found "loose tree" "$(find_object "$tree_hex")"
found pack $(find "$VRIFT_STORE/packs" -type f | sort)
found snapshot "$(find "$VRIFT_STORE/snapshots" -type f | head -n 1)"
found index "$(find "$VRIFT_STORE/index" -type f | head -n 1)"
found ref "$(find "$VRIFT_STORE/refs" -type f | head -n 1)"
found format "$VRIFT_STORE/format"
found "workspace base" "$(find "$VRIFT_STORE/workspaces" -type f -name 'base*' | head -n 1)"
check "the store verifies after" "$vrift" verify

missing() { # KIND FILE
    rm -f "$2"
    says 1 '' "verify misses a $1 that is gone" "$vrift" verify
    rm -rf "$VRIFT_STORE"
    cp -a "$pristine" "$VRIFT_STORE"
}
missing "loose blob" "$(find_object "$large_hex")"
missing pack "$(find "$VRIFT_STORE/packs" -type f | head -n 1)"
missing snapshot "$(find "$VRIFT_STORE/snapshots" -type f | head -n 1)"
rm -f "$(find "$VRIFT_STORE/index" -type f | head -n 1)"
check "an index that is gone is made anew" "$vrift" ls top/name
check "and nothing is wrong" "$vrift" verify

index=$(find "$VRIFT_STORE/index" -type f | head -n 1)
chmod u+w "$index"
python3 -c 'import sys; f = open(sys.argv[1], "r+b"); f.seek(0, 2); n = f.tell(); f.seek(n // 3); f.write(b"\xff" * (n // 3))' "$index"
crash_free() { local status=0; "$vrift" ls -lR top/name >/dev/null 2>&1 || status=$?; [ $status -le 1 ]; }
check "an index full of rubbish crashes nothing" crash_free
finish
