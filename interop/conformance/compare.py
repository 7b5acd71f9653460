"""Compares two result directories of the conformance suite, scenario by scenario.

Equal means: the same checks with the same outcomes, as often. Fewer failures are not enough: scenarios
exist that fail nothing when every request is refused.

    compare.py REVISION AT_LEAST DIRECT THROUGH [CHECK...]     CHECKs that cannot be made on the way through
"""

import collections
import json
import pathlib
import re
import sys


def outcomes(directory):
    """{scenario: Counter of (check, outcome)}, informational entries left out."""
    found = {}
    for file in sorted(pathlib.Path(directory).glob("server-*/checks.json")):
        scenario = re.fullmatch(r"server-(.+?)-\d{4}-\d{2}-\d{2}T.*", file.parent.name)[1]
        checks = json.loads(file.read_text())
        found[scenario] = collections.Counter(
            (check["id"], check["status"]) for check in checks if check["status"] != "INFO"
        )
    return found


def passed(counter):
    return sum(count for (_, outcome), count in counter.items() if outcome == "SUCCESS")


def main():
    revision, at_least, direct_dir, through_dir, *beyond = sys.argv[1:]
    direct, through = outcomes(direct_dir), outcomes(through_dir)
    known = sum(map(passed, direct.values()))
    for counter in (*direct.values(), *through.values()):
        for key in [key for key in counter if key[0] in beyond]:
            del counter[key]
    empty = collections.Counter()
    differing = 0
    print(f"{revision:<48} {'direct':>8} {'through':>8}")
    for scenario in sorted(direct.keys() | through.keys()):
        one, other = direct.get(scenario, empty), through.get(scenario, empty)
        same = one == other
        differing += not same
        total = sum(one.values()), sum(other.values())
        print(
            f"  {scenario:<46} {passed(one):>4}/{total[0]:<3} {passed(other):>4}/{total[1]:<3}"
            f" {'' if same else 'DIFFERS'}"
        )
        for (check, outcome), count in sorted((one - other).items()):
            print(f"      only direct:  {check} {outcome} x{count}")
        for (check, outcome), count in sorted((other - one).items()):
            print(f"      only through: {check} {outcome} x{count}")
    sums = sum(map(passed, direct.values())), sum(map(passed, through.values()))
    print(f"  {'all checks passed':<46} {sums[0]:>4}     {sums[1]:>4}")
    if known < int(at_least):
        print(f"  the direct run passes {known} checks, fewer than the {at_least} it is known for")
        differing += 1
    print(f"  scenarios: {len(direct)} direct, {len(through)} through, {differing} differing")
    print(f"RESULT {sums[1]} {differing}")
    return 1 if differing or not direct else 0


sys.exit(main())
