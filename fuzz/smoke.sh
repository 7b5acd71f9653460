#!/bin/sh
# Runs all fuzz targets, from the committed seeds, for some seconds together. Usage: fuzz/smoke.sh [SECONDS]
set -eu
targets="json door sse token config"
seconds=$((${1:-60} / 5))
[ "$seconds" -ge 1 ] || seconds=1
cd "$(dirname "$0")"
rustup run nightly rustc --version >/dev/null 2>&1 || {
    echo "fuzz/smoke.sh: cargo-fuzz needs a nightly toolchain: rustup toolchain install nightly" >&2
    exit 1
}
command -v cargo-fuzz >/dev/null 2>&1 || cargo install cargo-fuzz --locked
# The repository pins a stable toolchain for everything else.
unset RUSTC_WRAPPER CARGO_TARGET_DIR || true
# Without optimization and sanitizer: there is no unsafe code here, a panic is the finding, and it builds in minutes.
# For a long run: cargo +nightly fuzz run TARGET
set -- --dev --sanitizer none
cargo +nightly fuzz build "$@"
for target in $targets; do
    mkdir -p "corpus/$target"
    echo "== $target: $seconds s"
    cargo +nightly fuzz run "$@" "$target" "corpus/$target" "seeds/$target" -- \
        -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=65536 -print_final_stats=1
done
