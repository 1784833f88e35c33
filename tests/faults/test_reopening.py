"""What the storm of opens takes for growth."""

import json
import subprocess
import sys
from pathlib import Path

from tests.faults.live_site import write_clip
from tests.faults.system import ROOT

TIMES = 9
WANDERS_BY = 3 * 2**20


def test_what_waits_for_the_collector_is_no_growth(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", seconds=2.0)

    command = [sys.executable, "-m", "tests.faults.reopening", str(TIMES), str(clip)]
    output = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=120).stdout

    sizes = [json.loads(line)[2] for line in output.splitlines()]
    assert sizes[-1] - sizes[1] < WANDERS_BY
