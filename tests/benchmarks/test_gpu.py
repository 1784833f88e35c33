import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("transformers")

ROOT = Path(__file__).resolve().parents[2]


def run(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", *options], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_it_runs_on_a_cpu_with_a_tiny_network(tmp_path):
    out = tmp_path / "gpu.json"

    done = run("--device", "cpu", "--quick", "--dtypes", "float32", "--batches", "3", "--json", str(out))

    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text())
    assert [(line["way"], line["batch"]) for line in found["lines"]] == [
        ("eager", 3),
        ("transformers", 3),
        ("whole", 3),
    ]
    assert all(line["windows_per_s"] > 0 and line["of_the_peak"] >= 0 for line in found["lines"])
    assert found["about"]["device"] == "cpu"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_in_one_line():
    done = run()

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        "no GPU here: torch finds none. To see that this works: python -m benchmarks.gpu --device cpu --quick"
    ]
