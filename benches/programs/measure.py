"""Lines through claude-safe and through `cat`. Usage: measure.py CLAUDE-SAFE"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

ARGS = ["--output-format", "stream-json", "--verbose", "--input-format", "stream-json"]
ROUND_TRIPS = 3000
BULK_BYTES = 100_000_000


def line(kind, size):
    content = [{"type": "text", "text": "x" * size}]
    message = {"type": kind, "message": {"content": content}, "session_id": "s", "uuid": "u"}
    return json.dumps(message).encode() + b"\n"


def run(command, home):
    env = {"HOME": home, "PATH": os.environ["PATH"], "CLAUDE_SAFE_CLAUDE": f"{home}/claude"}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, env=env, cwd=home)


def round_trips(command, home):
    """The median of a line's way there and back (µs)."""
    child, text, took = run(command, home), line("system", 300), []
    for _ in range(ROUND_TRIPS):
        before = time.perf_counter()
        child.stdin.write(text)
        child.stdin.flush()
        assert child.stdout.readline() == text
        took.append(time.perf_counter() - before)
    child.stdin.close()
    child.wait()
    return statistics.median(took[100:]) * 1e6


def bulk(command, home, size):
    """How fast lines of a claude that only writes come through (MB/s), and what both processes
    take of a core (MB per second of it), which does not depend on what else runs."""
    used = os.times()
    child, count, before = run(command, home), 0, time.perf_counter()
    while chunk := child.stdout.read1(1 << 20):
        count += len(chunk)
    took = time.perf_counter() - before
    child.wait()
    assert count >= BULK_BYTES - size * 2, count
    now = os.times()
    core = now.children_user + now.children_system - used.children_user - used.children_system
    return f"{count / took / 1e6:.0f} MB/s ({count / core / 1e6:.0f} MB per core-second)"


def main():
    with tempfile.TemporaryDirectory() as home:
        claude = os.path.join(home, "claude")

        def become(script):
            with open(claude, "w") as file:
                file.write(f"#!/bin/sh\nexec {script}\n")
            os.chmod(claude, 0o755)

        safe = [os.path.abspath(sys.argv[1]), *ARGS]
        become("cat")
        plain, ours = (round_trips(command, home) for command in ([claude], safe))
        print(f"there and back (median): cat {plain:.0f} µs, claude-safe {ours:.0f} µs")
        for kind, size in (("stream_event", 200), ("assistant", 2000), ("assistant", 200_000)):
            text = line(kind, size)
            with open(f"{home}/lines", "wb") as file:
                for _ in range(BULK_BYTES // len(text)):
                    file.write(text)
            become("cat lines")
            plain, ours = (bulk(command, home, len(text)) for command in ([claude], safe))
            print(f"lines of {len(text)} bytes: cat {plain}, claude-safe {ours}")


main()
