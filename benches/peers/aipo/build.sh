#!/bin/bash
# Builds the program of this peer into the benchmark's cache folder, in the way its other Rust peers are built.
set -euo pipefail
cd "$(dirname "$0")"
export CARGO_TARGET_DIR="${BENCH_CACHE:-$HOME/.cache/aipo-bench}/target/aipo"
export CARGO_PROFILE_RELEASE_LTO=fat CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1
cargo build --release --locked --package aipo-bench
