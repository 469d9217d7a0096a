"""The systemd unit: systemd's own verification and its own judgement of the sandbox."""

import re
import tempfile
from pathlib import Path

import defaults
from run import run

# In tenths of the figure that systemd prints, from 0 to 10.0; as shipped it is 1.3.
EXPOSURE_MAX = 14


def problems(root: Path) -> list[str]:
    text = (root / "deploy/systemd/sequencer.service").read_text()
    found = []
    with tempfile.TemporaryDirectory() as directory:
        # The binary need not be installed where this is checked.
        file = Path(directory) / "sequencer.service"
        file.write_text(text.replace("/usr/local/bin/sequencer", "/bin/true"))
        code, said = run("systemd-analyze", "verify", "--man=no", str(file))
        # Misspelt directives are warnings, which do not fail it.
        if code != 0 or said:
            found.append(said)
        code, said = run("systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE_MAX}", str(file))
        if code != 0:
            found.append(f"exposure above {EXPOSURE_MAX / 10}: {said.splitlines()[-1]}")
    stop = re.search(r"^TimeoutStopSec=(\d+)$", text, re.M)
    if not stop or int(stop[1]) <= defaults.stop_seconds(root):
        found.append(f"TimeoutStopSec is not above the {defaults.stop_seconds(root):.0f} s that a clean end may take")
    for line in ["Type=exec", "KillSignal=SIGTERM"]:
        if f"\n{line}\n" not in text:
            found.append(f"{line} is missing")
    return found
