#!/usr/bin/env bash
# Measures nginx as a plain reverse proxy and Safeconduct with everything on, in one run on one machine, against
# the same backend. Prints the table of docs/performance.md.
#
#   bench/run.sh           about three minutes
#   bench/run.sh --quick   about forty seconds: that everything still runs; its numbers say little
set -euo pipefail
cd "$(dirname "$0")/.."
quick=0; [ "${1:-}" = "--quick" ] && quick=1
seconds=12; idle=5000; callers=10000; herd=1000; samples=20000
if [ "$quick" = 1 ]; then seconds=3; idle=500; callers=1000; herd=200; samples=2000; fi

need() { command -v "$1" >/dev/null || { echo "bench: $1 is missing (Debian package $2)" >&2; missing=1; }; }
missing=0; need nginx nginx-light; need wrk wrk
if [ "$missing" = 1 ]; then
  [ "$(id -u)" = 0 ] || { echo "bench: install them and run again" >&2; exit 1; }
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq nginx-light wrk >/dev/null
fi
cargo build --release --locked -q -p safeconduct -p safeconduct-bench
ulimit -n 65536 2>/dev/null || ulimit -n "$(ulimit -Hn)"

dir=$(mktemp -d); pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$dir"' EXIT
free_port() { python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])'; }
await() { for _ in $(seq 100); do if "$@" >/dev/null 2>&1; then return; fi; sleep 0.1; done; echo "bench: gave up on: $*" >&2; exit 1; }
listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

backend=$(free_port); plain=$(free_port); cached=$(free_port); every=$(free_port); admin=$(free_port)
mkdir -p "$dir/policies"
for kind in backend proxy; do
  sed -e "s#@DIR@#$dir#g; s#@BACKEND@#$backend#g; s#@PROXY@#$plain#g" "bench/nginx-$kind.conf" >"$dir/nginx-$kind.conf"
  nginx -c "$dir/nginx-$kind.conf" -p "$dir" -e "$dir/nginx-$kind.log" & pids+=($!)
done
nginx_pid=${pids[1]}
target/release/bench-edges serve "$dir" & pids+=($!)
await test -s "$dir/url"; edges=$(cat "$dir/url")
cp bench/policies/*.cedar "$dir/policies/"

start() { # port, admin port, "on" | "off": the decision cache; the pid is in $started
  sed -e "s#@PORT@#$1#g; s#@ADMIN@#$2#g; s#@EDGES@#$edges#g; s#@BACKEND@#$backend#g; s#@DIR@#$dir#g; s#@MEMO@#$3#g; s#@N@#$1#g" \
    bench/safeconduct.yaml >"$dir/safeconduct-$1.yaml"
  BENCH_SECRET=bench-secret target/release/safeconduct serve --config "$dir/safeconduct-$1.yaml" 2>"$dir/log-$1" & started=$!
  pids+=("$started")
  await curl -fsS "http://127.0.0.1:$2/readyz"
}
start "$cached" "$admin" on; cached_pid=$started
resident_start=$(awk '/VmRSS/ {print $2}' "/proc/$cached_pid/status")
admin2=$(free_port); start "$every" "$admin2" off; every_pid=$started
await listens "$backend"; await listens "$plain"

token=$(cat "$dir/token"); export BENCH_TOKEN=$token
ticks() { local pid total=0; for pid in $1 $(pgrep -P "$1" || true); do
  total=$((total + $(awk '{print $14 + $15}' "/proc/$pid/stat"))); done; echo "$total"; }
hz=$(getconf CLK_TCK)
declare -A requests cpu rate p50 p99
load() { # name, url, pid
  local before after out
  wrk -t1 -c32 -d2s -s bench/call.lua "$2" >/dev/null
  before=$(ticks "$3"); out=$(wrk -t1 -c32 -d"${seconds}s" --latency -s bench/call.lua "$2"); after=$(ticks "$3")
  requests[$1]=$(awk '/requests in/ {print $1}' <<<"$out")
  if grep -q "Non-2xx" <<<"$out"; then echo "bench: $1 answered errors" >&2; echo "$out" >&2; exit 1; fi
  cpu[$1]=$(awk -v t=$((after - before)) -v hz="$hz" -v n="${requests[$1]}" 'BEGIN {printf "%.1f", t / hz / n * 1e6}')
  rate[$1]=$(awk '/Requests\/sec/ {printf "%.0f", $2}' <<<"$out")
  p50[$1]=$(awk '$1 == "50%" {print $2}' <<<"$out"); p99[$1]=$(awk '$1 == "99%" {print $2}' <<<"$out")
}
# The answers must be the real thing before anything is measured.
curl -fsS -H "Authorization: Bearer $token" -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' \
  -H 'MCP-Protocol-Version: 2025-11-25' -d '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"refund","arguments":{"order":"4711","amount":120}}}' \
  "http://127.0.0.1:$cached/orders/mcp" | grep -q '"result"' || { echo "bench: the gateway does not answer" >&2; cat "$dir/log-$cached" >&2; exit 1; }
load nginx "http://127.0.0.1:$plain/mcp" "$nginx_pid"
load cached "http://127.0.0.1:$cached/orders/mcp" "$cached_pid"
load every "http://127.0.0.1:$every/orders/mcp" "$every_pid"

read -r direct50 _ < <(target/release/bench-edges latency "http://127.0.0.1:$backend/mcp" "$token" "$samples")
read -r plain50 plain99 < <(target/release/bench-edges latency "http://127.0.0.1:$plain/mcp" "$token" "$samples")
read -r warm50 warm99 < <(target/release/bench-edges latency "http://127.0.0.1:$cached/orders/mcp" "$token" "$samples")

rss() { awk '/VmRSS/ {print $2}' "/proc/$1/status"; }
exchanges() { curl -fsS "$edges/exchanges"; }
before=$(exchanges)
herd_line=$(target/release/bench-edges herd "http://127.0.0.1:$cached/orders/mcp" "$(cat "$dir/fresh")" "$herd")
herd_exchanges=$(($(exchanges) - before))
[ "$herd_exchanges" = 1 ] || { echo "bench: $herd callers of one key made $herd_exchanges exchanges" >&2; exit 1; }
r0=$(rss "$cached_pid")
target/release/bench-edges callers "http://127.0.0.1:$cached/orders/mcp" "$dir" "$callers" >/dev/null
r1=$(rss "$cached_pid")
target/release/bench-edges streams "http://127.0.0.1:$every/silent/mcp" "$token" "$idle" 6 >"$dir/streams" & streams=$!
s0=$(rss "$every_pid")
await grep -q open "$dir/streams"; s1=$(rss "$every_pid"); wait "$streams"

ratio() { awk -v a="${cpu[$1]}" -v b="${cpu[nginx]}" 'BEGIN {printf "%.2f", a / b}'; }
cat <<TABLE

| measured ($(nproc) cores, 32 connections, ${seconds} s each) | nginx, no identity | Safeconduct, decision cached | Safeconduct, Cedar every call |
|---|---|---|---|
| CPU per call | ${cpu[nginx]} µs | ${cpu[cached]} µs ($(ratio cached)x) | ${cpu[every]} µs ($(ratio every)x) |
| calls per second | ${rate[nginx]} | ${rate[cached]} | ${rate[every]} |
| p50 / p99 at 32 connections | ${p50[nginx]} / ${p99[nginx]} | ${p50[cached]} / ${p99[cached]} | ${p50[every]} / ${p99[every]} |

| measured | value | target |
|---|---|---|
| added p50 of a warm call, one connection | $((warm50 - direct50)) µs (nginx: $((plain50 - direct50)) µs; p99 of a call: $warm99 µs, nginx $plain99 µs) | 150 µs |
| resident at start | $((resident_start / 1024)) MB | 20 MB |
| resident per cached credential, $callers callers | $(((r1 - r0) * 1024 / callers)) B (verified token, caller, decision and credential) | 2048 B for the credential |
| resident per idle stream, $idle streams | $(((s1 - s0) * 1024 / idle)) B | 12288 B |
| $herd concurrent callers of one cold key | $herd_exchanges exchange, $herd_line (token endpoint: 10 ms) | 1 exchange |
TABLE
