"""The Grafana dashboard, as far as it can be read: its data source is the provisioned one, panels do not
overlap, each query asks for metrics that docs/metrics.md has. Whether Prometheus answers each of them is
tested against a real one (tests/monitoring)."""

import json
from collections import Counter
from pathlib import Path

import yaml

from rules import unknown

WIDTH = 24


def problems(root: Path) -> list[str]:
    found = []
    sources = yaml.safe_load((root / "deploy/grafana/provisioning/datasources/prometheus.yaml").read_text())
    uids = {source["uid"] for source in sources["datasources"]}
    for file in sorted((root / "deploy/grafana").glob("*.json")):
        board = json.loads(file.read_text())
        panels = board["panels"]
        numbers = Counter(panel["id"] for panel in panels)
        found += [f"{file.name}: id {number} is of {count} panels" for number, count in numbers.items() if count > 1]
        taken = {}
        for panel in panels:
            at, title = panel["gridPos"], panel["title"]
            for cell in ((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])):
                if cell[0] >= WIDTH or taken.setdefault(cell, title) != title:
                    found.append(f"{file.name}: {title} lies over {taken.get(cell, 'the edge')}")
                    break
            if panel["type"] == "row":
                continue
            if not panel["targets"] or not panel["fieldConfig"]["defaults"].get("unit"):
                found.append(f"{file.name}: {title} has no query or no unit")
            for target in panel["targets"]:
                if target["datasource"]["uid"] not in uids:
                    found.append(f"{file.name}: {title} asks data source uid {target['datasource']['uid']}")
                for metric in unknown(root, target["expr"]):
                    found.append(f"{file.name}: {title} asks for {metric}, which is not in docs/metrics.md")
    return found
