#!/bin/sh
# Measures what claude-safe costs at a terminal, against a child by itself and against the least
# a relay can be. Usage: benches/terminal/run.sh   (Linux; builds with --release; about a minute)
# Last figures (2 cores, busy, 7 rounds): relay echo 1.15x, output 1.16x, CPU/MB 0.97x; the whole
# claude-safe 1.22x, 1.02x, 1.14x, 0 wake-ups, 7.9 MiB. An echo costs the floor 6 calls (poll, read,
# write, twice) and us 7: the read in vain on the user's terminal stays, since that one may be in
# line mode, where a short read does not mean an empty queue.
# Prints a table with the aims. Ratios are trustworthy on a busy machine, absolute times are not.
set -eu
cd "$(dirname "$0")/../.."
cargo build --quiet --release --bins --example floor --example relay --example measure
exec "${CARGO_TARGET_DIR:-target}/release/examples/measure"
