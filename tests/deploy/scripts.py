"""The shell scripts of deploy/ and of these checks."""

from pathlib import Path

from run import run


def problems(root: Path) -> list[str]:
    files = sorted([*root.glob("deploy/**/*.sh"), *root.glob("tests/deploy/*.sh")])
    code, said = run("shellcheck", "-x", *map(str, files))
    return [said] if code != 0 else []
