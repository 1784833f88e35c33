import json
import sys

import pytest
import torch

pytest.importorskip("transformers")

from benchmarks.gpu import main


def run(monkeypatch: pytest.MonkeyPatch, *options: str) -> int:
    monkeypatch.setattr(sys, "argv", ["gpu", *options])
    return main()


def test_it_runs_on_a_cpu_with_a_tiny_network(tmp_path, monkeypatch):
    out = tmp_path / "gpu.json"

    options = ("--device", "cpu", "--quick", "--dtypes", "float32", "--batches", "3", "--json", str(out))

    assert run(monkeypatch, *options) == 0
    found = json.loads(out.read_text())
    assert [(line["way"], line["batch"]) for line in found["lines"]] == [
        ("eager", 3),
        ("transformers", 3),
        ("whole", 3),
    ]
    assert all(line["windows_per_s"] > 0 and line["of_the_peak"] >= 0 for line in found["lines"])
    assert found["about"]["device"] == "cpu"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_in_one_line(monkeypatch, capsys):
    assert run(monkeypatch) == 1

    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "no GPU here: torch finds none. To see that this works: python -m benchmarks.gpu --device cpu --quick"
    ]
