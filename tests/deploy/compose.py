"""The compose file against the compose specification, and what it says of other files."""

from pathlib import Path

import yaml

from run import run


def problems(root: Path) -> list[str]:
    file = root / "deploy/compose/compose.yaml"
    found = []
    code, text = run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(file))
    if code != 0:
        found.append(text)
    document = yaml.safe_load(file.read_text())
    services = document["services"]
    for name, service in services.items():
        for other in service.get("depends_on", []):
            if other not in services:
                found.append(f"{name} depends on {other}, which is no service")
        image = service["image"]
        if ":" not in image or image.endswith(":latest"):
            found.append(f"{name} runs {image}, which is not pinned by a tag")
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            if source.startswith("."):
                if not (file.parent / source).exists():
                    found.append(f"{name} mounts {source}, which is not there")
            elif source not in document["volumes"]:
                found.append(f"{name} mounts {source}, which is no volume")
    ids = [service["environment"]["SEQUENCER__INSTANCE_ID"]
           for name, service in services.items() if name.startswith("sequencer")]
    if len(set(ids)) != len(ids):
        found.append(f"two instances with one instance_id: {ids}")
    scraped = yaml.safe_load((root / "deploy/prometheus/prometheus.yml").read_text())
    for job in scraped["scrape_configs"]:
        for target in (target for static in job["static_configs"] for target in static["targets"]):
            if target.split(":")[0] not in services:
                found.append(f"Prometheus scrapes {target}, which is no service")
    return found
