"""Prometheus's configuration and the alerts: promtool's own checks and unit tests, a runbook entry and a
firing test for each alert, and no metric that docs/metrics.md does not have."""

import re
from pathlib import Path

import yaml

from run import run

RULES = "deploy/prometheus/sequencer.rules.yml"
TESTS = "tests/deploy/rules/sequencer.test.yml"
METRIC = re.compile(r"\b(?:sequencer|process)_[a-z_]+\b")
# What Prometheus makes of a histogram.
PARTS = re.compile(r"_(bucket|sum|count)$")


def documented(root: Path) -> set[str]:
    pages = [(root / page).read_text() for page in ("docs/metrics.md", "docs/gateway.md")]
    return set(re.findall(r"^\| `(\w+)` \|", "\n".join(pages), re.M))


def unknown(root: Path, expression: str) -> set[str]:
    """Metrics of an expression that are not documented."""
    known = documented(root)
    return {name for name in METRIC.findall(expression) if name not in known and PARTS.sub("", name) not in known}


def problems(root: Path) -> list[str]:
    found = []
    for arguments in [
        ("check", "config", "--syntax-only", str(root / "deploy/prometheus/prometheus.yml")),
        ("check", "rules", str(root / RULES)),
        ("test", "rules", str(root / TESTS)),
    ]:
        code, said = run("promtool", *arguments)
        if code != 0:
            found.append(said)
    groups = yaml.safe_load((root / RULES).read_text())["groups"]
    alerts = {rule["alert"]: rule for group in groups for rule in group["rules"]}
    entries = re.findall(r"^## (Sequencer\w+)$", (root / "docs/runbook.md").read_text(), re.M)
    found += [f"{name} has no entry in docs/runbook.md" for name in alerts if name not in entries]
    found += [f"docs/runbook.md has {name}, which is no alert" for name in entries if name not in alerts]
    tests = yaml.safe_load((root / TESTS).read_text())["tests"]
    fires = {test["alertname"] for case in tests for test in case["alert_rule_test"] if test["exp_alerts"]}
    quiet = {test["alertname"] for case in tests for test in case["alert_rule_test"] if not test["exp_alerts"]}
    for name, rule in alerts.items():
        if name not in fires or name not in quiet:
            found.append(f"{name} is not tested to fire and to be quiet")
        if rule["annotations"]["runbook"] != f"docs/runbook.md#{name.lower()}":
            found.append(f"{name} does not lead to its entry: {rule['annotations']['runbook']}")
        if rule["labels"]["severity"] not in ("critical", "warning"):
            found.append(f"{name} has severity {rule['labels']['severity']}")
        found += [f"{name} asks for {metric}, which is not in docs/metrics.md" for metric in unknown(root, rule["expr"])]
    return found
