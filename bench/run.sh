#!/usr/bin/env bash
# Measures nginx as a plain reverse proxy and Safeconduct with everything on, in one run on one machine, against
# the same backend. Prints the table of docs/performance.md.
#
#   bench/run.sh           about two minutes
#   bench/run.sh --quick   about half a minute: that everything still works; its numbers say little
#
# Fails when something does not work, never because of a time: judging numbers is for people.
# BENCH_GATEWAY names another program to measure; it is started with the configuration file as its last word.
set -Eeuo pipefail
trap 'echo "bench: failed at line $LINENO" >&2' ERR
cd "$(dirname "$0")/.."
rounds=8 seconds=2 idle=5000 callers=10000 herd=1000 samples=5000 cold=200
if [ "${1:-}" = "--quick" ]; then rounds=1 seconds=2 idle=300 callers=500 herd=200 samples=300 cold=20; fi

fail() { echo "bench: $*" >&2; for log in "${dir:-/nowhere}"/log-*; do [ -s "$log" ] && tail -n 5 "$log" >&2; done; exit 1; }
missing() { ! command -v "$1" >/dev/null 2>&1; }
if missing nginx || missing wrk || missing curl; then
  [ "$(id -u)" = 0 ] || fail "install the Debian packages: nginx-light wrk curl"
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq nginx-light wrk curl >/dev/null
fi
cargo build --release --locked -q -p safeconduct-bench
if [ -z "${BENCH_GATEWAY:-}" ]; then
  cargo build --release --locked -q -p safeconduct
  BENCH_GATEWAY="target/release/safeconduct serve --config"
fi
ulimit -n "$(ulimit -Hn)"
[ "$(ulimit -n)" = unlimited ] || [ "$(ulimit -n)" -ge $((idle * 3)) ] || fail "needs $((idle * 3)) file descriptors"

# ---- the edges, nginx, and two gateways that differ only in their policies -------------------------------------
dir=$(mktemp -d) pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$dir"' EXIT
free_ports() { target/release/bench-edges ports "$1"; }
await() { # what it is called, then the condition
  local what=$1; shift
  for _ in $(seq 200); do if "$@" >/dev/null 2>&1; then return; fi; sleep 0.1; done; fail "gave up on $what"
}
listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

read -r backend plain cached every fresh < <(free_ports 5)
for kind in backend proxy; do
  sed -e "s#@DIR@#$dir#g; s#@BACKEND@#$backend#g; s#@PROXY@#$plain#g" "bench/nginx-$kind.conf" >"$dir/nginx-$kind.conf"
  nginx -c "$dir/nginx-$kind.conf" -p "$dir" -e "$dir/log-nginx-$kind" & pids+=($!)
done
nginx_pid=${pids[1]}
target/release/bench-edges serve "$dir" 2>"$dir/log-edges" & pids+=($!)
await "the edges" test -s "$dir/url"; edges=$(cat "$dir/url")

start() { # port, policies; the pid is in $started
  sed -e "s#@PORT@#$1#g; s#@EDGES@#$edges#g; s#@BACKEND@#$backend#g; s#@DIR@#$dir#g; s#@POLICY@#$PWD/bench/$2#g" \
    bench/safeconduct.yaml >"$dir/safeconduct-$1.yaml"
  # shellcheck disable=SC2086
  BENCH_SECRET=bench-secret $BENCH_GATEWAY "$dir/safeconduct-$1.yaml" >"$dir/log-$1" 2>&1 & started=$!
  pids+=("$started"); await "the gateway with $2" listens "$1"
}
rss() { awk '/VmRSS/ {print $2}' "/proc/$1/status" || fail "a gateway has ended"; }
start "$cached" policies; cached_pid=$started; resident_start=$(rss "$cached_pid")
start "$every" policies-every-call; every_pid=$started
await "the backend" listens "$backend"; await nginx listens "$plain"

# ---- what is measured must be the real thing --------------------------------------------------------------------
token=$(cat "$dir/token"); export BENCH_TOKEN=$token
call() { # port, amount
  curl -sS -m 10 -H "Authorization: Bearer ${3-$token}" -H 'Content-Type: application/json' \
    -H 'Accept: application/json, text/event-stream' -H 'MCP-Protocol-Version: 2025-11-25' -w ' %{http_code}' \
    -d '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"refund","arguments":{"order":"4711","amount":'"$2"'}}}' \
    "http://127.0.0.1:$1/orders/mcp" || true
}
for port in "$cached" "$every"; do
  case "$(call "$port" 120)" in *'"result"'*) ;; *) fail "a permitted call got: $(call "$port" 120)" ;; esac
  case "$(call "$port" 501)" in *-31403*|*-32602*) ;; *) fail "a denied call got: $(call "$port" 501)" ;; esac
  case "$(call "$port" 120 "${token}x")" in *' 401') ;; *) fail "a forged token got: $(call "$port" 120 "${token}x")" ;; esac
done

# ---- CPU per call, calls per second, p50 and p99 at 32 connections: the best of the rounds, taken in turns ------
hz=$(getconf CLK_TCK)
ticks() { local pid total=0; for pid in $1 $(pgrep -P "$1" || true); do
  total=$((total + $(awk '{print $14 + $15}' "/proc/$pid/stat"))); done; echo "$total"; }
declare -A cpu rate p50 p99
load() { # name, url, pid
  local before after out calls used attempt refused
  wrk -t1 -c32 -d1s -s bench/call.lua "$2" >/dev/null
  for attempt in 1 2 3; do
    before=$(ticks "$3"); out=$(wrk -t1 -c32 -d"${seconds}s" --latency -s bench/call.lua "$2"); after=$(ticks "$3")
    if ! grep -qE "Non-2xx|Socket errors" <<<"$out"; then break; fi
    # A disk that stands still makes the gateway refuse calls until the audit log can be written: that is a time.
    refused=$(cat "$dir"/audit-*.jsonl | grep -o '"code":"[^"]*"' | sort | uniq -c || true)
    [ "$attempt" -lt 3 ] || fail "$1 answered with errors, three times: $out; in the audit log so far: $refused"
    echo "bench: $1 answered with errors, again; in the audit log so far: $refused" >&2
  done
  calls=$(awk '/requests in/ {print $1}' <<<"$out"); [ "${calls:-0}" -gt 0 ] || fail "$1 answered nothing: $out"
  used=$(awk -v t=$((after - before)) -v hz="$hz" -v n="$calls" 'BEGIN {printf "%.1f", t / hz / n * 1e6}')
  if [ -n "${cpu[$1]:-}" ] && awk -v a="$used" -v b="${cpu[$1]}" 'BEGIN {exit !(a >= b)}'; then return; fi
  cpu[$1]=$used rate[$1]=$(awk '/Requests\/sec/ {printf "%.0f", $2}' <<<"$out")
  p50[$1]=$(awk '$1 == "50%" {print $2}' <<<"$out"); p99[$1]=$(awk '$1 == "99%" {print $2}' <<<"$out")
}
for _ in $(seq "$rounds"); do
  load nginx "http://127.0.0.1:$plain/mcp" "$nginx_pid"
  load cached "http://127.0.0.1:$cached/orders/mcp" "$cached_pid"
  load every "http://127.0.0.1:$every/orders/mcp" "$every_pid"
done

# ---- one call after the other ------------------------------------------------------------------------------------
edges_run() { target/release/bench-edges "$@" || fail "bench-edges $1 failed"; }
declare -A one one99
alone() { # name, url: in turns, the best of the rounds, as above
  local out p50 p99
  out=$(edges_run latency "$2" "$token" "$samples"); read -r p50 p99 <<<"$out"
  if [ "$p50" -lt "${one[$1]:-$((p50 + 1))}" ]; then one[$1]=$p50 one99[$1]=$p99; fi
}
for _ in 1 2 3 4; do
  alone direct "http://127.0.0.1:$backend/mcp"
  alone nginx "http://127.0.0.1:$plain/mcp"
  alone warm "http://127.0.0.1:$cached/orders/mcp"
  alone cedar "http://127.0.0.1:$every/orders/mcp"
done
cold=$(edges_run cold "http://127.0.0.1:$cached/orders/mcp" "$dir" "$cold"); read -r cold50 cold99 <<<"$cold"

# ---- memory; one exchange for many -------------------------------------------------------------------------------
# On a gateway of its own: what a load has given back would be where later things go. Each caller is made known first,
# and again: what Cedar needs of a caller is kept for few, and heaps take a while to settle under its coming and going.
# When credentials come, as many decisions are kept as may be: what one takes is what it took before.
start "$fresh" policies; fresh_pid=$started; known=()
for server in plain more third orders; do
  known+=("$(rss "$fresh_pid")"); edges_run callers "http://127.0.0.1:$fresh/$server/mcp" "$dir" "$callers" >/dev/null
done
known+=("$(rss "$fresh_pid")"); after_load=$(rss "$cached_pid")
exchanges() { curl -fsS -m 10 "$edges/exchanges" || fail "the edges have ended"; }
before=$(exchanges)
herd_line=$(edges_run herd "http://127.0.0.1:$cached/orders/mcp" "$(cat "$dir/fresh")" "$herd")
herd_exchanges=$(($(exchanges) - before))
[ "$herd_exchanges" = 1 ] || fail "$herd callers of one key made $herd_exchanges exchanges"
s0=$(rss "$every_pid")
target/release/bench-edges streams "http://127.0.0.1:$every/plain/mcp" "$token" "$idle" 4 >"$dir/streams" 2>"$dir/log-streams" & streams=$!
await "$idle streams" grep -q open "$dir/streams"; s1=$(rss "$every_pid"); wait "$streams" || fail "streams did not last"

lines=$(wc -l <"$dir/audit-$fresh.jsonl"); [ "$lines" -gt "$callers" ] || fail "the audit log has only $lines lines"

ratio() { awk -v a="${cpu[$1]}" -v b="${cpu[nginx]}" 'BEGIN {printf "%.2f", a / b}'; }
each() { echo $((($2 - $1) * 1024 / $3)); }
decision=$(each "${known[2]}" "${known[3]}" "$callers")
cat <<TABLE

| $(nproc) cores, 32 connections, best of $rounds x $seconds s | nginx, no identity | Safeconduct, decision cached | Safeconduct, Cedar every call |
|---|---|---|---|
| CPU per call | ${cpu[nginx]} µs | ${cpu[cached]} µs ($(ratio cached)x) | ${cpu[every]} µs ($(ratio every)x) |
| target | | 1.8x | 2.8x |
| calls per second | ${rate[nginx]} | ${rate[cached]} | ${rate[every]} |
| p50 / p99 | ${p50[nginx]} / ${p99[nginx]} | ${p50[cached]} / ${p99[cached]} | ${p50[every]} / ${p99[every]} |

| measured | value | target |
|---|---|---|
| added p50 of a warm call, one connection | $((one[warm] - one[direct])) µs (Cedar every call: $((one[cedar] - one[direct])) µs; nginx adds $((one[nginx] - one[direct])) µs) | 150 µs |
| p99 of a warm call, one connection | ${one99[warm]} µs (nginx ${one99[nginx]} µs) | |
| first call of a caller (token verified, token endpoint of 10 ms asked) | p50 $cold50 µs, p99 $cold99 µs | |
| resident at start | $(awk -v kb="$resident_start" 'BEGIN {printf "%.1f", kb / 1024}') MB | 20 MB |
| resident per cached credential with the remembered decision beside it, $callers callers | $(($(each "${known[3]}" "${known[4]}" "$callers") + decision)) B | 2048 B |
| of that the decision | $decision B | |
| resident per known caller (verified token, claims; of the last 1,024 the entities) | $(($(each "${known[0]}" "${known[2]}" "$callers") - 2 * decision)) B | |
| resident with $callers callers, all of this for each | $((known[4] / 1024)) MB | |
| resident after the load at 32 connections | $((after_load / 1024)) MB | |
| resident per idle stream, $idle streams | $(each "$s0" "$s1" "$idle") B | 12288 B |
| resident with $idle idle streams | $((s1 / 1024)) MB | |
| $herd concurrent calls of one cold key | $herd_exchanges exchange, $herd_line | 1 exchange |
TABLE
