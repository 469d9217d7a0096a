"""What the code says, as far as deploy/ must agree with it."""

import re
import tomllib
from pathlib import Path


def keys(root: Path) -> set[str]:
    """Every key of config/default.toml."""
    with open(root / "config/default.toml", "rb") as file:
        tables = tomllib.load(file)
    found = set()
    for name, value in tables.items():
        if isinstance(value, dict):
            found |= {f"{name}.{key}" for key in value}
        else:
            found.add(name)
    return found


def stop_seconds(root: Path) -> float:
    """How long a clean end may take: the deadline of the drain, and what leaving takes beyond it."""
    with open(root / "config/default.toml", "rb") as file:
        deadline_ms = tomllib.load(file)["shutdown"]["deadline_ms"]
    serve = (root / "src/service/serve.rs").read_text()
    grace = re.search(r"LEAVE_GRACE: Duration = Duration::from_secs\((\d+)\)", serve)
    return deadline_ms / 1000 + int(grace[1])


def topic_config(root: Path, role: str, replicas: int) -> dict[str, str]:
    """The settings with which `serve` creates a topic, read from its source."""
    source = (root / "src/kafka/admin/topics.rs").read_text()
    constants: dict[str, int] = {}
    for name, expression in re.findall(r"const (\w+): u\d+ = ([\w* ]+);", source):
        constants[name] = eval(expression, {}, dict(constants))  # noqa: S307: our own arithmetic
    function = re.search(rf"\n(?:pub(?:\(crate\))? )?fn {role}\(.*?\n}}\n", source, re.S)
    common = re.search(r"\n(?:pub )?fn durable\(.*?\n}\n", source, re.S)
    config = {}
    value = r'"(?P<text>[^"]*)"\.to_owned\(\)|(?P<name>[A-Z_]+)\.to_string\(\)|min_insync_replicas\('
    for pair in re.finditer(rf'"(?P<key>[a-z.]+)",\s*(?:{value})', common[0] + function[0]):
        if pair["text"] is not None:
            config[pair["key"]] = pair["text"]
        elif pair["name"]:
            config[pair["key"]] = str(constants[pair["name"]])
        else:
            config[pair["key"]] = str(max(replicas - 1, 1))
    return config
