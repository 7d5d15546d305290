#!/bin/sh
# Measures what claude-safe costs between a program and claude, against `cat` in the place of both.
# Usage: benches/programs/run.sh   (builds with --release; half a minute; needs python3)
# Last figures: docs/programs.md. Aims: at most 1 ms added to a line (median), 200 MB/s and more.
set -eu
cd "$(dirname "$0")/../.."
cargo build --quiet --release --bin claude-safe
exec python3 benches/programs/measure.py "${CARGO_TARGET_DIR:-target}/release/claude-safe"
