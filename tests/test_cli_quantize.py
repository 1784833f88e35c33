"""`xclip-stream quantize`, with the demo's model on its rendered world."""

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
import yaml

from tests.command_line import ROOT, run
from xclip_stream.cli.quantize import quantize
from xclip_stream.demo.figures import Picture
from xclip_stream.demo.render import build_recording
from xclip_stream.demo.video import write_h264
from xclip_stream.errors import CheckpointError, ConfigError, XclipStreamError
from xclip_stream.model import Scorer, XCLIPModel, XCLIPProcessor, quantise
from xclip_stream.model.openvino_backend import OpenVinoBackend, export_stages
from xclip_stream.model.stage_files import ExportedStages

SECONDS = 70.0


def write_site(folder: Path, *, url: str = "yard.mp4", **model: str) -> Path:
    """The demo's rules over one source, a window each second."""
    site = yaml.safe_load((ROOT / "configs/demo.yaml").read_text())
    site = {key: site[key] for key in ("version", "rules")}
    site["model"] = {"checkpoint": "demo", **model}
    site["sources"] = [{"id": "yard", "url": url}]
    (folder / "site.yaml").write_text(yaml.safe_dump(site))
    return folder / "site.yaml"


def pictures() -> Iterable[Picture]:
    scenes = build_recording(990_007, SECONDS).scenes
    return (frame.picture for scene in scenes for frame in scene.frames())


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    write_h264(folder / "yard.mp4", pictures())
    write_site(folder)
    return folder


@pytest.fixture(scope="module")
def made(home: Path) -> subprocess.CompletedProcess[str]:
    return run("quantize", "site.yaml", "--out", "int8", "--json", home=home)


def test_a_faithful_model_is_written_and_says_how_faithful_it_is(home, made):
    assert made.returncode == 0, made.stderr
    report = json.loads(made.stdout)
    assert report["written"] == "int8"
    assert report["problems"] == []
    assert report["fidelity"]["windows"] >= 30
    assert json.loads((home / "int8/quantized.json").read_text())["fidelity"] == report["fidelity"]
    assert not list(home.glob(".int8*"))


def test_it_is_another_model_with_nearly_the_same_scores(home, made):
    assert made.returncode == 0, made.stderr
    exact = Scorer.from_checkpoint("demo", device="cpu", backend="torch")

    quick = Scorer.from_checkpoint("demo", device="cpu", quantised=home / "int8")

    assert isinstance(quick.backend, OpenVinoBackend)
    assert quick.name == "demo-int8"
    assert quick.sha256 != exact.sha256
    side = exact.geometry.image_px
    clips = np.random.default_rng(0).integers(0, 256, (2, exact.geometry.num_frames, side, side, 3), np.uint8)
    prompts = ["a person falling down and lying on the ground", "a person walking"]
    one, other = (
        scorer.logits(scorer.encode_clips(clips), None, scorer.encode_prompts(prompts)) for scorer in (exact, quick)
    )
    assert 0 < np.abs(one - other).max() < 1.0


def test_a_folder_is_checked_before_it_is_used(home, made, tmp_path):
    assert made.returncode == 0, made.stderr
    with pytest.raises(CheckpointError, match=f"{tmp_path}: holds no quantized model"):
        Scorer.from_checkpoint("demo", device="cpu", quantised=tmp_path)
    with pytest.raises(ConfigError, match=r"model\.quantized needs model\.backend openvino or auto"):
        Scorer.from_checkpoint("demo", device="cpu", quantised=home / "int8", backend="torch")
    for path in (home / "int8").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    manifest = json.loads((tmp_path / "quantized.json").read_text())
    (tmp_path / "quantized.json").write_text(json.dumps({**manifest, "weights_sha256": "0" * 64}))
    with pytest.raises(CheckpointError, match="is of the checkpoint 'demo' as it was, not of this one"):
        Scorer.from_checkpoint("demo", device="cpu", quantised=tmp_path)
    (tmp_path / "quantized.json").write_text(json.dumps({**manifest, "settings_sha256": "0" * 64}))
    with pytest.raises(CheckpointError, match="is of the checkpoint 'demo' as it was, not of this one"):
        Scorer.from_checkpoint("demo", device="cpu", quantised=tmp_path)
    (tmp_path / "quantized.json").write_text(json.dumps({**manifest, "format": 1}))
    (tmp_path / "prompts.xml").rename(tmp_path / "elsewhere")
    with pytest.raises(CheckpointError, match=r"quantized\.json: is of another version; make it anew"):
        Scorer.from_checkpoint("demo", device="cpu", quantised=tmp_path)
    (tmp_path / "elsewhere").rename(tmp_path / "prompts.xml")
    (tmp_path / "quantized.json").write_text(json.dumps(manifest))
    with (tmp_path / "clips.bin").open("r+b") as file:
        file.write(b"\1\2\3\4")
    with pytest.raises(CheckpointError, match="are not those that were judged"):
        Scorer.from_checkpoint("demo", device="cpu", quantised=tmp_path)


def test_a_run_takes_it_and_its_events_name_it(home, made, tmp_path):
    assert made.returncode == 0, made.stderr
    site = yaml.safe_load(write_site(tmp_path, url=str(home / "yard.mp4"), quantized=str(home / "int8")).read_text())
    site["sinks"] = [{"id": "file", "type": "jsonl", "path": "events.jsonl"}]
    (tmp_path / "site.yaml").write_text(yaml.safe_dump(site))

    done = run("run", "site.yaml", home=tmp_path)

    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert {event["data"]["model"]["name"] for event in events} == {"demo-int8"}


@torch.no_grad()
def test_a_model_that_says_something_else_is_refused_and_nothing_is_written(home, tmp_path, monkeypatch, capsys):
    """Its weights are spoiled, as no calibration does: what was tried, darkness and noise, was faithful enough."""

    def spoil(exact: ExportedStages, clips: object, folder: Path) -> ExportedStages:
        model, rules = XCLIPModel.from_pretrained("demo"), XCLIPProcessor.from_pretrained("demo").rules
        for name, weight in model.vision_model.named_parameters():
            if name.endswith("fc1.weight"):
                weight.add_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(0)), alpha=0.2)
        stages = ExportedStages(folder)
        export_stages(model, rules, stages)
        return stages

    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))  # where `made` has exported the exact one
    monkeypatch.setattr(quantise, "quantise_stages", spoil)

    with pytest.raises(typer.Exit) as ended:
        quantize(home / "site.yaml", out=tmp_path / "int8")

    assert ended.value.exit_code == 1
    errors = capsys.readouterr().err
    assert "error: vectors agree to" in errors
    assert "error: not faithful enough: nothing was written" in errors
    assert not list(tmp_path.glob("*int8*"))


def test_mistakes_are_told_before_any_work(tmp_path):
    site = write_site(tmp_path, url="rtsp://camera/stream")
    short = tmp_path / "short.mp4"
    write_h264(short, [np.zeros((180, 320, 3), np.uint8)] * 100)

    def error(*footage: str, out: Path = tmp_path / "int8") -> str:
        with pytest.raises(XclipStreamError) as raised:
            quantize(site, list(footage), out)
        return str(raised.value)

    assert error() == "all sources are cameras: name recordings of them, as SOURCE=FILE"
    assert error("gate=x.mp4") == "gate=x.mp4: write SOURCE=FILE, where SOURCE is one of: yard"
    assert "nothere.mp4: there is no such file" in error("yard=nothere.mp4")
    assert "is there already; name another folder" in error("yard=x.mp4", out=tmp_path)
    assert "there is no folder" in error("yard=x.mp4", out=tmp_path / "nowhere/int8")
    assert "windows, and 60 are needed" in error(f"yard={short}")
