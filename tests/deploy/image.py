"""The Dockerfile: hadolint, and the rules of this repository."""

import fnmatch
import re
from pathlib import Path

from run import run

# What the build compiles in or runs.
NEEDED = ["Cargo.toml", "config/default.toml", "deploy/kafka/pom.xml", "deploy/rootfs.sh", "src/kafka/admin/topics.rs",
          "benches/acceptance/Cargo.toml", "clients/rust/Cargo.toml", "examples/rust/Cargo.toml", "tests/clients/rust/Cargo.toml"]


def problems(root: Path) -> list[str]:
    file = root / "deploy/Dockerfile"
    text = file.read_text()
    found = []
    code, said = run("hadolint", str(file))
    if code != 0:
        found.append(said)
    for image in re.findall(r"^FROM (\S+)", text, re.M):
        if image != "scratch" and not re.search(r":[\w.-]*\d[\w.-]*$", image):
            found.append(f"{image} is not pinned by a tag: latest and the like move")
    if "cargo build --release --locked" not in text:
        found.append("the build is not --locked")
    last = text[text.rindex("\nFROM "):]
    user = re.findall(r"^USER (\S+)", last, re.M)
    if not user or not re.fullmatch(r"[1-9]\d*(:\d+)?", user[-1]):
        found.append("USER of the last stage is not a number above 0, which runAsNonRoot needs")
    for word in ["ENTRYPOINT [", "HEALTHCHECK "]:
        if word not in last:
            found.append(f"the last stage has no {word.strip(' [')}")
    found += [f"the context leaves out {path}" for path in NEEDED if left_out(root, path)]
    return found


def left_out(root: Path, path: str) -> bool:
    """Whether .dockerignore leaves a file out; the last line that matches counts."""
    left = False
    for line in (root / ".dockerignore").read_text().splitlines():
        pattern = line.strip().lstrip("!")
        if pattern and not pattern.startswith("#"):
            parents = ["/".join(path.split("/")[:n]) for n in range(1, path.count("/") + 2)]
            if any(fnmatch.fnmatch(parent, pattern) and parent.count("/") == pattern.count("/")
                   for parent in parents):
                left = not line.startswith("!")
    return left
