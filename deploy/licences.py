#!/usr/bin/env python3
"""Prints the licences of all that is compiled into the binary for a target, each text once.

Usage: deploy/licences.py TARGET
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILE = re.compile(r"(LICEN[CS]ES?|COPYING|COPYRIGHT|NOTICE|UNLICENSE)([-._].*)?$", re.I)
# Libraries in C lie in a folder of the crate that compiles them, as librdkafka and OpenSSL do.
DEPTH_MAX = 3
# Tests and documentation are not compiled in.
LEFT_OUT = {"test", "tests", "doc", "docs", "demos", "fuzz", "examples", "packaging", "contrib", "build"}


def packages(target: str) -> list[dict]:
    """The packages that the binary or its build depends on."""
    cargo = os.environ.get("CARGO", "cargo")
    command = [cargo, "metadata", "--format-version=1", "--locked", f"--filter-platform={target}"]
    metadata = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    found, left = set(), [metadata["resolve"]["root"]]
    while left:
        package = left.pop()
        if package not in found:
            found.add(package)
            for dependency in nodes[package]["deps"]:
                if any(kind["kind"] != "dev" for kind in dependency["dep_kinds"]):
                    left.append(dependency["pkg"])
    found.remove(metadata["resolve"]["root"])
    chosen = [package for package in metadata["packages"] if package["id"] in found]
    return sorted(chosen, key=lambda package: (package["name"], package["version"]))


def files(directory: Path, depth: int = 1):
    for entry in sorted(directory.iterdir()):
        if entry.is_file() and FILE.match(entry.name) and entry.suffix not in (".rs", ".c", ".h", ".py"):
            yield entry
        elif entry.is_dir() and depth < DEPTH_MAX and entry.name not in LEFT_OUT:
            yield from files(entry, depth + 1)


def main() -> None:
    texts: dict[str, list[str]] = {}
    print("Compiled into the binary, with their licences:\n")
    for package in packages(sys.argv[1]):
        name = f"{package['name']} {package['version']}"
        print(f"  {name}: {package['license'] or package['license_file']}")
        directory = Path(package["manifest_path"]).parent
        for file in files(directory):
            text = file.read_text(errors="replace").strip()
            texts.setdefault(text, []).append(f"{name}, {file.relative_to(directory)}")
    if not any(place.startswith("rdkafka-sys ") for places in texts.values() for place in places):
        sys.exit("licences: there is no text of librdkafka's licence")
    for text, places in texts.items():
        print("\n" + "=" * 80)
        print("\n".join(places))
        print("-" * 80 + f"\n{text}")


main()
