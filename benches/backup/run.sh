#!/bin/sh
# Measures backups against `tar | zstd -3 -T0`: 1 GB of transcripts in 400 files.
# Usage: benches/backup/run.sh   (needs a release build, zstd, python3, 3 GB below $TMPDIR)
# Prints the ratios and the peak memory; exits 1 if one is beyond its bar. A snapshot is on the disk
# when it is done, tar's archive is not: the ratio to tar and a sync of the archive is shown too.
set -eu
program=${CLAUDE_SAFE:-$(dirname "$0")/../../target/release/claude-safe}
program=$(realpath "$program")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
exec python3 - "$program" "$work" <<'PY'
import json, os, random, resource, subprocess, sys, time

program, work = sys.argv[1:]
home = os.path.join(work, "home")
environment = {"HOME": home, "PATH": os.environ["PATH"],
               "CLAUDE_SAFE_STATE_DIR": os.path.join(work, "state")}
random.seed(1)
words = [("%x" % random.getrandbits(random.choice((12, 20, 32)))) for _ in range(20000)]

def line(n):
    kind = random.choice(("user", "assistant"))
    text = " ".join(random.choices(words, k=random.randint(20, 400)))
    return json.dumps({"parentUuid": "%032x" % random.getrandbits(128), "isSidechain": False,
        "cwd": "/home/user/project", "sessionId": "%032x" % n, "version": "2.1.330",
        "type": kind, "message": {"role": kind, "content": [{"type": "text", "text": text}]},
        "timestamp": "2026-11-24T12:00:00.000Z"}) + "\n"

paths = []
for n in range(400):
    path = f"{home}/.claude/projects/-p{n % 20}/{n:032x}.jsonl"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as out:
        while out.tell() < 2_500_000:
            out.write("".join(line(n) for _ in range(100)))
    paths.append(path)
open(f"{home}/.claude.json", "w").write("{}")

def timed(command, **more):
    subprocess.run(["sync"])
    start = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **more)
    return time.monotonic() - start

def tar():
    return timed(f"tar -C '{home}' -cf - .claude | zstd -3 -T0 -q -f -o '{work}/all.tar.zst'", shell=True)

def create():
    return timed([program, "backup", "create"], env=environment)

tar()
firsts, tars, durable, verifies = [], [], [], []
for _ in range(3):
    tars.append(tar())
    durable.append(timed(f"tar -C '{home}' -cf - .claude | zstd -3 -T0 -q -f -o '{work}/all.tar.zst'"
        f" && sync '{work}/all.tar.zst'", shell=True))
    subprocess.run(["rm", "-rf", f"{work}/state"])
    firsts.append(create())
    verifies.append(timed([program, "backup", "verify"], env=environment))
for path in random.sample(paths, 5):
    with open(path, "a") as out:
        out.write(line(0))
second = create()
# Of all children; ours is the largest but for zstd -T0, so it is measured by itself.
peak = subprocess.run(["python3", "-c", "import resource,subprocess,sys;"
    "subprocess.run(sys.argv[1:],check=True,stdout=subprocess.DEVNULL);"
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)",
    program, "backup", "create"], env={**environment, "CLAUDE_SAFE_STATE_DIR": f"{work}/fresh"},
    check=True, capture_output=True, text=True).stdout
base = sorted(tars)[1]
first = sorted(firsts)[1] / base
verify = sorted(verifies)[1] / base
mib = int(peak) / 1024
print(f"tar | zstd -3 -T0: {base:.2f} s")
print(f"first snapshot:    {first:.2f}x (bar 1.10)")
print(f"  to tar and sync: {sorted(firsts)[1] / sorted(durable)[1]:.2f}x")
print(f"verifying it:      {verify:.2f}x, both {first + verify:.2f}x")
print(f"second snapshot:   {second / base:.2f}x (bar 0.15)")
print(f"peak memory:       {mib:.0f} MiB (bar 64)")
sys.exit(first > 1.10 or second / base > 0.15 or mib > 64)
PY
