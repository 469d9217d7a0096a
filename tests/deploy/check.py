"""Runs each check on deploy/, then on copies of it with a planted bug in each.

A check takes the root of a repository and returns its problems, a line each. A planted bug that no
problem names is a failure of the check.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import chart
import compose
import dashboard
import image
import rules
import scripts
import unit
from planted import PLANTED

CHECKS = {
    "chart": chart.problems,
    "compose": compose.problems,
    "image": image.problems,
    "dashboard": dashboard.problems,
    "rules": rules.problems,
    "scripts": scripts.problems,
    "unit": unit.problems,
}
ROOT = Path(__file__).resolve().parents[2]
# What a check reads; a copy of it is small.
READ = [".dockerignore", "Cargo.toml", "config", "deploy", "docs/gateway.md", "docs/metrics.md", "docs/runbook.md",
        "src/kafka/admin/topics.rs", "src/service/serve.rs", "tests/deploy/rules"]


def main() -> int:
    # check.sh has said why, in a line of its own.
    skip = set(os.environ.get("SKIP", "").split())
    passed = failed = 0
    for name, check in CHECKS.items():
        if name in skip:
            continue
        problems = check(ROOT)
        print(f"{'FAILED' if problems else 'ok    '} {name}")
        for problem in problems:
            print(f"       {problem}")
        failed += bool(problems)
        passed += not problems
    for bug in PLANTED:
        if bug.check in skip:
            continue
        caught = plant(bug)
        print(f"{'ok    ' if caught else 'FAILED'} {bug.check} catches: {bug.what}")
        failed += not caught
        passed += bool(caught)
    print(f"\n{passed} passed, {failed} failed")
    return 1 if failed else 0


def plant(bug) -> bool:
    """Whether the bug's check has a problem that names it."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        for path in READ:
            source, target = ROOT / path, root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target)
            else:
                shutil.copy(source, target)
        file = root / bug.file
        text = file.read_text()
        if bug.old not in text:
            print(f"       {bug.file} has no {bug.old!r} to plant a bug in")
            return False
        file.write_text(text.replace(bug.old, bug.new))
        return any(bug.named in problem for problem in CHECKS[bug.check](root))


if __name__ == "__main__":
    sys.exit(main())
