#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# SIGKILL at random moments of import, commit and checkout: the store verifies, what is there is whole, and the same
# command then succeeds. VRIFT_KILLS of them, 30 by default.
source "${VRIFT_SOURCE:?}/test/cli/cli.sh" || exit 1

mkdir "$scratch/tree"
make_tree "$scratch/tree"
for i in $(seq 400); do echo "file $i" >"$scratch/tree/src/s$i"; done
for i in $(seq 40); do head -c 200000 /dev/urandom >"$scratch/tree/src/l$i"; done
cat >"$scratch/kill.py" <<'PY'
import json, os, random, shutil, signal, subprocess, sys, time
vrift, scratch, kills = sys.argv[1], sys.argv[2], int(sys.argv[3])
tree, dest = scratch + "/tree", scratch + "/dest"
seed = os.environ.get("VRIFT_SEED", str(time.time_ns()))
random.seed(seed)
print("# note: kills: VRIFT_SEED=" + seed)

def run(*arguments, status=0):
    done = subprocess.run([vrift, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != status:
        raise AssertionError("%s ended with %d: %s%s" % (" ".join(arguments[:2]), done.returncode, done.stdout[-500:], done.stderr))
    return done.stdout.strip()

def change(round):
    """The same change each time, in the workspace's upper and in a tree of its own: both have one id."""
    run("workspace", "create", "w", base)
    upper = [w["upper"] for w in json.loads(run("workspace", "list", "--json")) if w["name"] == "w"][0]
    for i in range(60):
        path = "%s/new%d" % (upper, i)
        with open(path, "wb") as file:
            file.write(random.Random(round * 1000 + i).randbytes(40000 if i % 4 == 0 else 700))
        os.utime(path, ns=(5, 1_000_000_007 * i))
    os.utime(upper, ns=(5, 77))

def start(*arguments):
    return subprocess.Popen([vrift, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

base = run("import", tree)
wanted = subprocess.run([scratch + "/manifest", tree, "--links"], stdout=subprocess.PIPE).stdout
store = os.environ["VRIFT_STORE"]
spent = {}
hits = 0
failures = 0
for number in range(1, kills + 1):
    what = ("import", "commit", "checkout")[number % 3]
    name = "kill %d, of %s" % (number, what)
    try:
        if what == "import":
            # Into a store of its own, so that there is something to store each time.
            os.environ["VRIFT_STORE"] = store + ".import"
            command = ["import", tree, "--name", "killed"]
        elif what == "commit":
            change(number)
            command = ["workspace", "commit", "w", "--name", "killed"]
        else:
            command = ["checkout", base, dest] + random.choice([[], ["--link=copy"]])
        child = start(*command)
        started = time.monotonic()
        time.sleep(random.uniform(0, spent.get(what, 0.15)))
        child.send_signal(signal.SIGKILL)
        killed = child.wait() == -signal.SIGKILL
        hits += killed
        if not killed:
            spent[what] = (time.monotonic() - started) * 0.9

        if os.path.exists(os.environ["VRIFT_STORE"] + "/format"):
            run("verify")
        if what == "import":
            if run("import", tree, "--name", "killed") != base:
                raise AssertionError("another id after the kill")
            run("verify")
            shutil.rmtree(os.environ["VRIFT_STORE"])
        elif what == "commit":
            run("workspace", "status", "w")
            after = run("workspace", "commit", "w", "--name", "killed")
            run("verify")
            run("checkout", after, dest)
            there = sorted(n for n in os.listdir(dest) if n.startswith("new"))
            if len(there) != 60:
                raise AssertionError("%d of 60 files of the workspace came through" % len(there))
            for i in range(60):
                data = open("%s/new%d" % (dest, i), "rb").read()
                if data != random.Random(number * 1000 + i).randbytes(40000 if i % 4 == 0 else 700):
                    raise AssertionError("new%d is not what was written" % i)
            run("workspace", "remove", "w")
        else:
            if os.path.exists(dest):
                found = subprocess.run([scratch + "/manifest", dest, "--links"], stdout=subprocess.PIPE).stdout
                if found != wanted:
                    raise AssertionError("a partial DEST")
                shutil.rmtree(dest)
            run("checkout", base, dest)
        print("ok %d - %s%s" % (number, name, "" if killed else " (it was done before)"))
    except Exception as error:
        failures += 1
        print("not ok %d - %s" % (number, name))
        print("# " + str(error).replace("\n", "\n# "))
        if os.environ["VRIFT_STORE"] != store:
            shutil.rmtree(os.environ["VRIFT_STORE"], ignore_errors=True)
        subprocess.run([vrift, "--store", store, "workspace", "remove", "w"], stderr=subprocess.DEVNULL)
    os.environ["VRIFT_STORE"] = store
    shutil.rmtree(dest, ignore_errors=True)
print("# note: kills: %d of %d commands died of it" % (hits, kills))
number = kills + 1
left = json.loads(run("stats", "--json"))["temporary_files"]
run("import", tree)
left = json.loads(run("stats", "--json"))["temporary_files"]
print("%s %d - the next command cleans up after the killed (%d files left)" % ("ok" if left == 0 else "not ok", number, left))
failures += left != 0
print("%s %d - at least half of the commands were hit" % ("ok" if hits * 2 >= kills else "not ok", number + 1))
failures += hits * 2 < kills
print("1..%d" % (number + 1))
sys.exit(failures != 0)
PY
ln -s "$manifest" "$scratch/manifest"
python3 "$scratch/kill.py" "$vrift" "$scratch" "${VRIFT_KILLS:-30}"
