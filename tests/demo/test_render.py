import json

import av
import pytest

from xclip_stream.demo.render import build_recording, main, truth_path, write_recording
from xclip_stream.demo.scenes import FPS


def test_a_rendered_file_has_the_frame_rate_and_duration_that_were_asked_for(tmp_path):
    path = tmp_path / "scene.mp4"
    write_recording(build_recording(7, 20.0), path)

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        times = [frame.time for frame in container.decode(stream)]

        assert (stream.codec_context.name, stream.width, stream.height) == ("h264", 320, 180)
        assert stream.average_rate == FPS
    assert times == pytest.approx([index / FPS for index in range(200)])


def test_the_truth_stands_beside_the_file(tmp_path):
    path = tmp_path / "scene.mp4"
    truth = write_recording(build_recording(9, 30.0), path)

    written = json.loads(truth_path(path).read_text())

    assert truth
    assert [(e["action"], e["start_s"], e["end_s"]) for e in written["events"]] == [
        (e.action, e.start_s, e.end_s) for e in truth
    ]


@pytest.mark.parametrize(
    ("out", "reason"), [("nowhere/scene.mp4", "No such file or directory"), (".", "Is a directory")]
)
def test_a_file_that_cannot_be_written_is_told_before_it_is_rendered(out, reason, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--out", str(tmp_path / out)])

    assert ended.value.code == 2
    assert f"cannot be written: {reason}" in capsys.readouterr().err


def test_the_command_renders_eventless_footage_of_a_seed(tmp_path, capsys):
    path = tmp_path / "quiet.mp4"

    assert main(["--seed", "4", "--seconds", "6", "--eventless", "--out", str(path)]) == 0
    assert json.loads(truth_path(path).read_text())["events"] == []
    assert str(path) in capsys.readouterr().out.replace("\n", "")
