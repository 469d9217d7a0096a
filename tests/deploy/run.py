"""Runs a tool."""

import subprocess


def run(*command: str, stdin: str | None = None) -> tuple[int, str]:
    """Its exit code and all that it printed."""
    done = subprocess.run(
        command, input=stdin, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120
    )
    return done.returncode, done.stdout.strip()
