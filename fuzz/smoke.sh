#!/bin/sh
# Runs every fuzz target for some seconds, from the committed seeds. Usage: fuzz/smoke.sh [SECONDS]
set -eu
seconds=${1:-30}
cd "$(dirname "$0")"
rustup run nightly rustc --version >/dev/null 2>&1 || {
    echo "fuzz/smoke.sh: cargo-fuzz needs a nightly toolchain: rustup toolchain install nightly" >&2
    exit 1
}
command -v cargo-fuzz >/dev/null 2>&1 || cargo install cargo-fuzz --locked
# The repository pins a stable toolchain for everything else.
unset RUSTC_WRAPPER CARGO_TARGET_DIR || true
for target in json door sse; do
    mkdir -p "corpus/$target"
    echo "== $target: $seconds s"
    cargo +nightly fuzz run "$target" "corpus/$target" "seeds/$target" -- \
        -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=65536 -print_final_stats=1
done
