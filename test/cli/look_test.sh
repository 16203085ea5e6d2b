#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# Looking inside: ls, cat, stat, diff, refs, caps, stats; as text and as JSON.
source "${VRIFT_SOURCE:?}/test/cli/cli.sh" || exit 1

tree=$scratch/tree
make_tree "$tree"
a=$("$vrift" import "$tree" --name first)
json() { python3 -c "import json, os, sys; j = json.load(sys.stdin); sys.exit(not ($1))"; }
lines() { printf '%s\n' "$@"; }

check "ls lists the root" same "$(lines empty run.sh src)" "$("$vrift" ls first)"
check "ls lists a directory" same "$(lines deep file1 file2 file3 file4 file5 file6 file7 file8 hard.c link main.c nothing)" \
    "$("$vrift" ls first:src)"
check "slashes around a path do not matter" same "$("$vrift" ls first:src)" "$("$vrift" ls first:/src/)"
check "ls of a file names it" same src/main.c "$("$vrift" ls first:src/main.c)"
check "ls of an empty directory is empty" same "" "$("$vrift" ls first:empty)"
check "ls -R lists all below" same "$(cd "$tree" && find . -mindepth 1 -printf '%P\n' | LC_ALL=C sort)" \
    "$("$vrift" ls -R first | LC_ALL=C sort)"
check "ls -l shows mode, size, time and target" \
    grep -qE '^lrwxrwxrwx .* 9 .* src/link -> \.\./run\.sh$' <("$vrift" ls -lR first)
check "ls -l shows nanoseconds in UTC" grep -q '2001-02-03 04:05:06.789012345 main.c$' <("$vrift" ls -l first:src)
check "ls --json is an array of objects" \
    json 'sorted(e["path"] for e in j) == ["empty", "run.sh", "src"]' < <("$vrift" ls --json first)
check "with mode, type and digest" \
    json '[(e["mode"], e["type"], len(e["digest"])) for e in j if e["path"] == "run.sh"] == [("0755", "file", 64)]' \
    < <("$vrift" ls --json first)
check "ls by id" same "$("$vrift" ls first)" "$("$vrift" ls "$a")"
check "ls by prefix" same "$("$vrift" ls first)" "$("$vrift" ls "${a:0:8}")"
says 1 'missing: no such' "ls of what is not there" "$vrift" ls first:missing
says 1 'main.c/x: not a directory' "ls below a file" "$vrift" ls first:src/main.c/x
check ".. stays inside" same "$("$vrift" ls first)" "$("$vrift" ls first:src/../..)"
ln -s src "$tree/way"
"$vrift" import "$tree" --name second >/dev/null
check "a symlink on the way is followed" same way/deep/large "$("$vrift" ls second:way/deep/large)"
check "one at the end is not" same way "$("$vrift" ls second:way)"
check "unless a slash follows it" same "$("$vrift" ls second:src)" "$("$vrift" ls second:way/)"

check "cat writes the bytes of a small file" cmp <("$vrift" cat first:run.sh) "$tree/run.sh"
check "of a large one" cmp <("$vrift" cat first:src/deep/large) "$tree/src/deep/large"
check "of an empty one" same "" "$("$vrift" cat first:src/nothing)"
check "and through a symlink" cmp <("$vrift" cat first:src/link) "$tree/run.sh"
says 1 'is a directory' "cat of a directory" "$vrift" cat first:src
says 1 'no such file' "cat of what is not there" "$vrift" cat first:nope
says 1 'no space left' "cat to a full disk" bash -c "'$vrift' cat first:src/deep/large >/dev/full"

check "stat tells of a file" grep -q '^modified: 2001-02-03 04:05:06.789012345$' <("$vrift" stat first:src/main.c)
check "and its links" json 'j["nlink"] == 2 and j["size"] == 29 and j["mtime"] == {"sec": 981173106, "nsec": 789012345}' \
    < <("$vrift" stat --json first:src/hard.c)
check "and of a symlink" json 'j["target"] == "../run.sh" and j["type"] == "symlink"' < <("$vrift" stat --json first:src/link)
check "without a path, of the snapshot" \
    json 'j["snapshot"]["files"] == 13 and j["snapshot"]["directories"] == 5 and j["snapshot"]["symlinks"] == 1' \
    < <("$vrift" stat --json first)
check "whose id it tells" grep -q "^snapshot: $a\$" <("$vrift" stat first)

rm "$tree/way" "$tree/src/file1"
echo changed >"$tree/src/file2"
chmod 600 "$tree/src/file3"
rm "$tree/src/file4"; mkdir "$tree/src/file4"
echo new >"$tree/src/new"
touch -r "$scratch/tree/src/deep" "$scratch/mark"
b=$("$vrift" import "$tree" --name third)
changes() { "$vrift" diff first third | grep -E ' src/(file|new)'; }
check "diff tells each kind of change" same \
    "$(lines 'D src/file1' 'M src/file2' 'P src/file3 (mode 0644 -> 0600)' 'T src/file4 (file -> directory)' 'A src/new')" \
    "$(changes)"
check "diff tells nothing of what is the same" test -z "$("$vrift" diff first third | grep -E 'deep|run.sh|main.c')"
check "diff of a snapshot with itself is empty" same "" "$("$vrift" diff third "$b")"
check "diff the other way round swaps added and removed" grep -qx 'A src/file1' <("$vrift" diff third first)
check "diff --stat counts" grep -q '^1 added, 1 removed, 1 changed, .* 1 of another type' <("$vrift" diff --stat first third)
check "diff --json has the counts too" json 'j["counts"]["type"] == 1 and len(j["changes"]) == sum(
    v for k, v in j["counts"].items() if "bytes" not in k)' < <("$vrift" diff --json first third)

check "refs lists names in their order" same "$(lines first second third)" "$("$vrift" refs | cut -d ' ' -f 2)"
check "ref makes a name" "$vrift" ref release/1.0 "${a:0:10}"
check "ref reads it" same "$a" "$("$vrift" ref release/1.0)"
check "ref moves it" "$vrift" ref release/1.0 third
check "to another snapshot" same "$b" "$("$vrift" ref release/1.0)"
check "refs --json" json '{r["name"]: r["snapshot"] for r in j}["release/1.0"] == "'"$b"'"' < <("$vrift" refs --json)
says 2 'not a name' "ref refuses a bad name" "$vrift" ref ../evil "$a"
says 1 'first' "ref refuses a name below a name" "$vrift" ref first/sub "$a"
says 1 'release' "ref refuses a name above a name" "$vrift" ref release "$a"
check "ref -d removes it" "$vrift" ref -d release/1.0
says 1 'no such ref' "and then it is gone" "$vrift" ref release/1.0
says 1 'no such ref' "and cannot be removed again" "$vrift" ref -d release/1.0
check "refs --all lists snapshots without a name too" test "$("$vrift" refs --all | wc -l)" -eq 3
says 1 'no such snapshot' "an unknown id" "$vrift" ls 0000000000000000000000000000000000000000000000000000000000000000
says 1 'no such snapshot' "an unknown prefix" "$vrift" ls 00000000
says 1 '' "a prefix of three digits is none" "$vrift" ls "${a:0:3}"

# On a terminal, control characters do not reach it; a bar is drawn for what takes longer than a second.
cat >"$scratch/terminal.py" <<'PY'
import os, pty, sys
child, terminal = pty.fork()
if child == 0:
    os.execv(sys.argv[1], sys.argv[1:])
text = b""
try:
    while True:
        piece = os.read(terminal, 65536)
        if not piece:
            break
        text += piece
except OSError:
    pass
sys.stdout.buffer.write(text)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
PY
mkdir "$scratch/odd"
touch "$scratch/odd/"$'new\nline' "$scratch/odd/"$'red\e[31m'
"$vrift" import "$scratch/odd" --name odd >/dev/null
check "on a terminal control characters are escaped" same 'new\nline red\x1b[31m' \
    "$(python3 "$scratch/terminal.py" "$vrift" ls odd | tr -d '\r' | paste -sd ' ')"
check "in a pipe they are not" same $'new\nline\nred\e[31m' "$("$vrift" ls odd)"
check "on a terminal import tells what it did" grep -q '^0 files, 1 directories' \
    <(mkdir "$scratch/bare" && python3 "$scratch/terminal.py" "$vrift" import "$scratch/bare")
check "in a pipe it does not" same "" "$("$vrift" import "$scratch/tree" 2>&1 >/dev/null)"
check "unless it is asked to" grep -q '^12 files' <("$vrift" import -v "$scratch/tree" 2>&1 >/dev/null)

for what in mem: "$tree" dir:"$tree" first snap:"$b"; do
    check "caps $(basename "$what") has a row for each capability" \
        test "$("$vrift" caps "$what" | grep -cE '(native|emulated|none) +(declared|configured|probed|race-probed)')" -ge 20
done
check "caps of a snapshot: immutable" json 'j["backend"] == "cas" and j["consistency"]["data"]["model"] == "immutable"' \
    < <("$vrift" caps --json first)
check "caps of a snapshot: no writing" json 'j["capabilities"]["create"]["effective"] == "none"' < <("$vrift" caps --json first)
says 1 'not built yet' "caps of a URL" "$vrift" caps s3://bucket
says 1 'no such file' "caps of a directory that is not there" "$vrift" caps "$scratch/missing"
check "stats counts" json 'j["snapshots"] == 5 and j["refs"] == 4 and j["temporary_files"] == 0' < <("$vrift" stats --json)
check "import --json counts" json 'j["files"] == 12 and j["new_blobs"] == 0' < <("$vrift" import --json "$tree")
check "checkout --json counts files by rung" json 'sum(r["files"] for r in j["rungs"].values()) > 0 and j["files"] == 12' \
    < <("$vrift" checkout --json third "$scratch/out")
check "checkout says which rung served" grep -qE '^12 files, .* (cloned|copied|hard-linked)' <("$vrift" checkout third "$scratch/out2")
check "verify --json" json 'j["problems"] == [] and j["snapshots"] == 5' < <("$vrift" verify --json)
finish
