#!/bin/sh
# Measures what claude-safe costs at a terminal, against a child by itself and against the least
# a relay can be. Usage: benches/terminal/run.sh   (Linux; builds with --release; about a minute)
# Prints a table with the aims. Ratios are trustworthy on a busy machine, absolute times are not.
set -eu
cd "$(dirname "$0")/../.."
cargo build --quiet --release --bins --example floor --example relay --example measure
exec "${CARGO_TARGET_DIR:-target}/release/examples/measure"
