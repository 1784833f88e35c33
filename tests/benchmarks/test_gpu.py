import json
import sys

import pytest
import torch

pytest.importorskip("transformers")

from benchmarks.gpu import main, operations_per_window, published


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
    assert found["about"]["GFLOP a window"] >= 0


@pytest.mark.parametrize(("name", "paper_gmac"), [("b32", 39), ("b16", 145), ("l14", 658)])
def test_operations_are_those_of_the_paper_but_for_its_classes(name, paper_gmac):
    """The paper counts a multiplication with its addition as one, and the text of its 400 classes with it."""
    counted_gmac = operations_per_window(published(name)) / 2e9

    assert paper_gmac - 8 < counted_gmac < paper_gmac


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--batches", "0"), "--batches: invalid"),
        (("--json", "/nowhere/gpu.json"), "--json: there is no folder /nowhere"),
    ],
)
def test_a_mistake_is_told_before_anything_is_measured(monkeypatch, capsys, options, said):
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, "--device", "cpu", *options)

    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_a_device_that_is_none_is_told_in_one_line(monkeypatch, capsys):
    assert run(monkeypatch, "--device", "foo") == 1
    assert capsys.readouterr().err == "device 'foo' is none that torch knows; use auto, cpu or cuda:0\n"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_in_one_line(monkeypatch, capsys):
    assert run(monkeypatch) == 1

    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "no GPU here: torch finds none. To see that this works: python -m benchmarks.gpu --device cpu --quick"
    ]
