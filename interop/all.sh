#!/usr/bin/env bash
# Every interoperability run, one after the other, and a summary. Fails when any of them failed.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

declare -a lines
worst=0 passed=0 failed=0
for run in conformance client-scenarios clients servers stdio keycloak oidc-provider sdks aws vendors secrets engine \
  containers packages; do
  began=$SECONDS
  echo "== $run"
  mkdir -p .cache
  if "./$run.sh" 2>&1 | tee ".cache/$run.out"; then verdict=ok; else verdict=FAILED worst=1; fi
  last=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' ".cache/$run.out" | tail -n 1)
  if [ -n "$last" ]; then
    read -r good _ bad _ <<<"$last"
    passed=$((passed + good)) failed=$((failed + bad))
  else
    last='ended before it had counted'
    failed=$((failed + 1))
  fi
  lines+=("$(printf '%-17s %-7s %4d s  %s' "$run" "$verdict" $((SECONDS - began)) "$last")")
done

echo '== summary'
printf '%s\n' "${lines[@]}"
echo "$passed passed, $failed failed"
exit "$worst"
