#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# Bad input: one clear line, the right exit status, and a store that is byte for byte what it was.
source "${VRIFT_SOURCE:?}/test/cli/cli.sh" || exit 1

make_tree "$scratch/tree"
id=$("$vrift" import "$scratch/tree" --name good)
before=$(fingerprint "$VRIFT_STORE")
unchanged() { check "  and the store is unchanged" same "$before" "$(fingerprint "$VRIFT_STORE")"; }
# fails PATTERN NAME COMMAND...: as says 1, and nothing changed.
fails() { says 1 "$@"; unchanged; }
absent() { check "  and there is no DEST" test ! -e "$1"; }

fails 'missing: no such file' "importing what is not there" "$vrift" import "$scratch/missing"
fails 'run.sh: not a directory' "importing a file" "$vrift" import "$scratch/tree/run.sh"
ln -s nowhere "$scratch/dangling"
fails 'dangling: no such file' "importing a dangling symlink" "$vrift" import "$scratch/dangling"
fails 'the store lies inside it' "importing a tree that holds the store" "$vrift" import "$scratch"
fails 'the store lies inside it' "importing the store itself" "$vrift" import "$VRIFT_STORE"
says 1 'missing/tree: no such file' "importing what is not there into a store that is not there" \
    "$vrift" --store "$scratch/missing/store" import "$scratch/missing/tree"
check "  makes none" test ! -e "$scratch/missing"

# Somebody else's files, seen by nobody.
mkdir -m 755 "$scratch/theirs" "$scratch/theirs/tree"
echo open >"$scratch/theirs/tree/a"
echo secret >"$scratch/theirs/tree/b"
mkdir "$scratch/theirs/closed"
chmod 000 "$scratch/theirs/tree/b" "$scratch/theirs/closed"
chmod 711 "$scratch"
mkdir -m 777 "$scratch/nobody"
if as_nobody test -x "$vrift"; then
    cp "$vrift" "$scratch/nobody/vrift"
    nobody() { as_nobody "$scratch/nobody/vrift" --store "$scratch/nobody/store" "$@"; }
    chmod 755 "$scratch/nobody/vrift"
    nobody import "$scratch/nobody" >/dev/null 2>&1 || true
    says 1 'closed: permission denied' "importing an unreadable directory" nobody import "$scratch/theirs/closed"
    says 1 'tree/b: permission denied' "importing a tree with an unreadable file" nobody import "$scratch/theirs/tree"
    chmod 000 "$scratch/theirs/tree"
    says 1 'permission denied' "importing from an unreadable directory" nobody import "$scratch/theirs/tree"
    chmod 755 "$scratch/theirs/tree" "$scratch/theirs/closed"
    mkdir -m 555 "$scratch/read-only"
    mkdir -m 777 "$scratch/open"
    "$vrift" --store "$scratch/open/store" import "$scratch/tree" --name good >/dev/null
    chmod -R a+rX "$scratch/open/store"
    says 1 'permission denied' "restoring where nobody may write" \
        as_nobody "$scratch/nobody/vrift" --store "$scratch/open/store" checkout good "$scratch/read-only/dest"
    check "  and there is no DEST" test ! -e "$scratch/read-only/dest"
    chmod 700 "$scratch/open/store"
    if [ "$(id -u)" -eq 0 ]; then
        says 1 'open/store: permission denied' "opening a store that nobody may read" \
            as_nobody "$scratch/nobody/vrift" --store "$scratch/open/store" refs
    else
        skip "opening a store that nobody may read" "needs root, to be two users"
    fi
else
    skip "what nobody may read" "nobody can not run $vrift"
fi
chmod 644 "$scratch/theirs/tree/b"

says 1 'store2: it is neither a store nor empty|store2: .*not a store' "a directory that is no store" \
    bash -c "mkdir -p '$scratch/store2' && echo x >'$scratch/store2/file' && '$vrift' --store '$scratch/store2' import '$scratch/tree'"
check "  is left alone" same file "$(ls -A "$scratch/store2")"
says 1 'run.sh: ' "a file that is no store" "$vrift" --store "$scratch/tree/run.sh" refs
says 1 'store2: .*not a store' "reading from what is no store" "$vrift" --store "$scratch/store2" refs

# Another version, or damage, in the format file.
digest_of() { "$vrift" stat --json "$1" | python3 -c 'import json, sys; print(json.load(sys.stdin)["digest"])'; }
mkdir "$scratch/text"
copy_store() { rm -rf "$scratch/store3" && cp -a "$VRIFT_STORE" "$scratch/store3" && chmod -R u+w "$scratch/store3"; }
copy_store
grep -v '^checksum' "$scratch/store3/format" | sed 's/^version 1$/version 2/' >"$scratch/text/format"
"$vrift" --store "$scratch/store4" import "$scratch/text" --name text >/dev/null
{ cat "$scratch/text/format"; echo "checksum $(VRIFT_STORE=$scratch/store4 digest_of text:format)"; } >"$scratch/store3/format"
newer=$(fingerprint "$scratch/store3")
says 1 'newer version' "reading a store of a newer version" "$vrift" --store "$scratch/store3" refs
says 1 'newer version' "writing to a store of a newer version" "$vrift" --store "$scratch/store3" import "$scratch/tree"
says 1 'newer version' "verifying a store of a newer version" "$vrift" --store "$scratch/store3" verify
check "  leaves it as it was" same "$newer" "$(fingerprint "$scratch/store3")"
for how in ': >' 'truncate -s 20' 'rm'; do
    copy_store
    eval "$how \"\$scratch/store3/format\""
    says 1 'store3: ' "a store whose format file was treated with '$how'" "$vrift" --store "$scratch/store3" ls good
    says 1 'store3: ' "  cannot be verified" "$vrift" --store "$scratch/store3" verify
done

fails 'nosuch: no such snapshot' "an unknown ref" "$vrift" ls nosuch
fails 'no such snapshot' "an unknown prefix" "$vrift" checkout 0000 "$scratch/dest"
absent "$scratch/dest"
copy_store
snapshot=$(find "$scratch/store3/snapshots" -type f | head -n 1)
name=$(basename "$snapshot")
last=${name: -1}
cp "$snapshot" "${snapshot%?}$(tr 0123456789abcdef 123456789abcdef0 <<<"$last")"
says 1 'ambiguous' "an ambiguous prefix" "$vrift" --store "$scratch/store3" ls "${id:0:8}"
check "  but the whole id is not" "$vrift" --store "$scratch/store3" ls "$id"

mkdir "$scratch/full"
echo mine >"$scratch/full/file"
fails 'full: .*not empty' "restoring into a directory that is not empty" "$vrift" checkout good "$scratch/full"
check "  leaves it alone" same "file mine" "$(cd "$scratch/full" && ls -A | xargs) $(cat "$scratch/full/file")"
fails 'full/file: ' "restoring over a file" "$vrift" checkout good "$scratch/full/file"
check "  leaves it alone" same mine "$(cat "$scratch/full/file")"
ln -s "$scratch/full" "$scratch/to-full"
fails 'to-full: ' "restoring over a symlink to a directory that is not empty" "$vrift" checkout good "$scratch/to-full"
fails 'no such file' "restoring where no directory is" "$vrift" checkout good "$scratch/missing/dest"
absent "$scratch/missing"
if "$vrift" checkout good "$scratch/refl" --link=reflink >/dev/null 2>&1; then
    skip "restoring by clones where there are none" "the file system of $scratch clones"
else
    fails '(not supported|reflink|clone)' "restoring by clones where there are none" "$vrift" checkout good "$scratch/refl" --link=reflink
    absent "$scratch/refl"
fi
says 1 '(exists|already)' "cloning over a file" "$vrift" clone "$scratch/tree/run.sh" "$scratch/full/file"
says 1 'missing: .*no such' "cloning what is not there" "$vrift" clone "$scratch/missing" "$scratch/dest"
says 1 '' "cloning a tree into itself" "$vrift" clone "$scratch/tree" "$scratch/tree/src/copy"
check "  leaves nothing there" test ! -e "$scratch/tree/src/copy"

fails 'nosuch: no such workspace' "the status of a workspace that is not there" "$vrift" workspace status nosuch
fails 'nosuch: no such workspace' "removing a workspace that is not there" "$vrift" workspace remove nosuch
fails 'nosuch: no such snapshot' "a workspace of a snapshot that is not there" "$vrift" workspace create w nosuch
says 2 'not a name' "a workspace with a bad name" "$vrift" workspace create ../w good
unchanged
says 1 'not there|no such|not mounted|not a mount' "unmounting what is not mounted" "$vrift" umount "$scratch/full"

# A file that changes, or vanishes, while it is read.
mkdir "$scratch/moving"
head -c 60000000 /dev/urandom >"$scratch/moving/large"
cat >"$scratch/meddle.py" <<'PY'
"""Imports a tree while a process of ours meddles with it; prints each way the import ended."""
import os, subprocess, sys, threading, time
vrift, tree, how = sys.argv[1:]
ends = set()
for attempt in range(12):
    stop = threading.Event()
    def change():
        with open(tree + "/large", "r+b") as file:
            while not stop.is_set():
                file.seek(59999999)
                file.write(b"%c" % (int(time.monotonic() * 1e6) & 255))
                file.flush()
                time.sleep(0.001)
    def vanish():
        time.sleep(0.01 * (attempt % 6))
        for name in sorted(os.listdir(tree), reverse=True):
            if name != "large" and not stop.is_set():
                os.unlink(tree + "/" + name)
    if how == "vanish":
        for i in range(3000):
            open("%s/z%d" % (tree, i), "w").write(str(i))
    meddler = threading.Thread(target=change if how == "change" else vanish)
    meddler.start()
    done = subprocess.run([vrift, "import", tree, "--jobs", "1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    stop.set()
    meddler.join()
    lines = done.stderr.decode(errors="replace").splitlines()
    if done.returncode == 0 and not lines:
        ends.add("whole")
    elif done.returncode == 1 and len(lines) == 1 and lines[0].startswith("vrift: import: ") and not done.stdout:
        ends.add("refused")
        print(lines[0], file=sys.stderr)
    else:
        ends.add("wrong: %d %r" % (done.returncode, lines))
    if "refused" in ends:
        break
print(" ".join(sorted(ends)))
PY
changed=$(python3 "$scratch/meddle.py" "$vrift" "$scratch/moving" change 2>"$scratch/.said")
check "a file that changes while it is read is refused in one line ($(head -n 1 "$scratch/.said" | sed "s,$scratch/,,"))" same refused "$changed"
vanished=$(python3 "$scratch/meddle.py" "$vrift" "$scratch/moving" vanish 2>"$scratch/.said")
case $vanished in
whole) skip "a file that vanishes while it is read" "twelve imports were each quicker than the meddler" ;;
*) check "a file that vanishes is refused in one line, or not in the tree" grep -qxE 'refused|refused whole' <<<"$vanished" ;;
esac
check "the store verifies" "$vrift" verify
check "and holds no temporary files" grep -qE '"temporary_files": 0' <("$vrift" stats --json)
rm -rf "$scratch/moving"

# An interrupt.
mkdir "$scratch/long"
for i in $(seq 150); do head -c 1000000 /dev/urandom >"$scratch/long/f$i"; done
cat >"$scratch/interrupt.py" <<'PY'
"""Interrupts a command until it dies of it; prints how it ended."""
import os, shutil, signal, subprocess, sys, time
number, dest, command = getattr(signal, sys.argv[1]), sys.argv[2], sys.argv[3:]
for delay in (0.06, 0.03, 0.12, 0.015, 0.2, 0.008, 0.3, 0.04, 0.02, 0.1):
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=lambda: signal.signal(number, signal.SIG_DFL))
    time.sleep(delay)
    child.send_signal(number)
    out, err = child.communicate()
    if child.returncode == 128 + number:
        lines = err.decode().splitlines()
        print("interrupted" if len(lines) == 1 and lines[0].endswith(": interrupted") and not out else "wrong: %r" % lines)
        sys.exit()
    if child.returncode not in (0, -number):  # -number: before it could listen
        print("wrong: %d %r" % (child.returncode, err))
        sys.exit()
    shutil.rmtree(dest, ignore_errors=True)
print("never")
PY
export VRIFT_STORE=$scratch/store5
"$vrift" import "$scratch/tree" >/dev/null
before=$(fingerprint "$VRIFT_STORE")
for signal in SIGINT SIGTERM; do
    ended=$(python3 "$scratch/interrupt.py" $signal "$VRIFT_STORE/none" "$vrift" import "$scratch/long" --jobs 1)
    check "$signal ends an import with one line and 128 + its number" same interrupted "$ended"
    check "  and no snapshot more is there" same 1 "$("$vrift" refs --all | wc -l)"
    check "  nor a temporary file" grep -qE '"temporary_files": 0' <("$vrift" stats --json)
    check "  and the store verifies" "$vrift" verify
done
"$vrift" import "$scratch/long" --name long >/dev/null
before=$(fingerprint "$VRIFT_STORE")
mkdir "$scratch/beside"
ended=$(python3 "$scratch/interrupt.py" SIGINT "$scratch/beside/dest" "$vrift" checkout long "$scratch/beside/dest" --link=copy --jobs 1)
check "SIGINT ends a checkout with one line and 130" same interrupted "$ended"
check "  and neither DEST nor anything beside it is there" same "" "$(ls -A "$scratch/beside")"
unchanged
mkdir "$scratch/beside/dest"
sed 's/shutil.rmtree(dest, ignore_errors=True)/[shutil.rmtree(e) if e.is_dir() else os.unlink(e) for e in os.scandir(dest)]/' \
    "$scratch/interrupt.py" >"$scratch/interrupt2.py"
ended=$(python3 "$scratch/interrupt2.py" SIGINT "$scratch/beside/dest" "$vrift" checkout long "$scratch/beside/dest" --link=copy --jobs 1)
check "SIGINT ends a checkout into an empty directory too" same interrupted "$ended"
check "  and it is empty again" same dest "$(ls -A "$scratch/beside" "$scratch/beside/dest" | grep -v : | xargs)"
finish
