#!/usr/bin/env python3
"""Adds up what test runs said: each line of a meson testlog.json is a test, a Check or unittest program is as many
tests as it ran. Prints the failures and what was skipped with its reason, and one line of sums at the end.

usage: tally.py [FAILURES [SKIPS]] LABEL=TESTLOG...   the numbers: failures and skips that came before
"""

import json
import pathlib
import re
import sys

CHECK = re.compile(r'^\d+%: Checks: (\d+), Failures: (\d+), Errors: (\d+)$', re.M)
UNITTEST = re.compile(r'^Ran (\d+) tests? in ', re.M)
UNITTEST_END = re.compile(r'^(?:OK|FAILED)(?: \((.*)\))?$', re.M)
SKIPPED = re.compile(r'^(?:.*: |.*\.\.\. )?skipped:? (.*)$', re.M)


def count(test):
    """passed, failed, skipped of one program."""
    output = (test.get('stdout') or '') + '\n' + (test.get('stderr') or '')
    said = len(SKIPPED.findall(output))
    if test['result'] == 'SKIP':
        return 0, 0, max(1, said)
    passed, failed, skipped = 0, 0, said
    for checks, failures, errors in CHECK.findall(output):
        failed += int(failures) + int(errors)
        passed += int(checks) - int(failures) - int(errors)
    for ran, end in zip(UNITTEST.findall(output), UNITTEST_END.findall(output)):
        bad = sum(int(n) for n in re.findall(r'(?:failures|errors)=(\d+)', end))
        passed += int(ran) - bad - sum(int(n) for n in re.findall(r'skipped=(\d+)', end))
        failed += bad
    if test['result'] not in ('OK', 'EXPECTEDFAIL'):
        return passed, max(1, failed), skipped
    if not CHECK.search(output) and not UNITTEST.search(output):
        passed = 1
    return passed, failed, skipped


def main():
    arguments = sys.argv[1:]
    before = [int(arguments.pop(0)) for _ in arguments[:2] if arguments[0].isdigit()]
    total = [0, *(before + [0, 0])[:2]]
    for argument in arguments:
        label, _, path = argument.partition('=')
        sums = [0, 0, 0]
        lines = pathlib.Path(path).read_text().splitlines() if pathlib.Path(path).exists() else []
        for test in map(json.loads, lines):
            name = test['name'].split(' / ')[-1]
            result = count(test)
            sums = [a + b for a, b in zip(sums, result)]
            output = (test.get('stdout') or '') + '\n' + (test.get('stderr') or '')
            if result[1]:
                print(f'FAILED {label}: {name}: {test["result"]}, exit code {test["returncode"]}')
                print('\n'.join('    ' + line for line in output.strip().splitlines()[-40:]))
            if result[2]:
                for reason in SKIPPED.findall(output) or ['no reason given']:
                    print(f'skipped {label}: {name}: {reason}')
        if not lines:
            print(f'FAILED {label}: no test was run')
            sums[1] += 1
        print(f'{label}: {sums[0]} passed, {sums[1]} failed, {sums[2]} skipped')
        total = [a + b for a, b in zip(total, sums)]
    print(f'{total[0]} passed, {total[1]} failed, {total[2]} skipped')
    return 1 if total[1] else 0


if __name__ == '__main__':
    sys.exit(main())
