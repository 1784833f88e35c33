"""`xclip-stream init`, by options and by questions; what it writes is read by the loader itself."""

import os
import pty
import stat
import subprocess
from fractions import Fraction
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.command_line import PROGRAM, ROOT, environment, run
from tests.rtsp import StartCamera, start_camera
from tests.videos import steady, write_video
from xclip_stream.cli.frigate import read_frigate
from xclip_stream.cli.new_site import NewCamera, Secrets, named_cameras, without_secrets
from xclip_stream.cli.site_yaml import NewSite, scalar, site_text
from xclip_stream.config import load_config, read_config
from xclip_stream.errors import ConfigError

__all__ = ["start_camera"]

FRIGATE = ROOT / "tests" / "frigate"


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_video(tmp_path / "clip.mp4", steady(10, 2), tick=Fraction(1, 10))


# -------------------------------------------------------------------------------------------------------- options


def test_a_camera_is_tested_and_its_password_stays_out_of_the_file(clip: Path, start_camera: StartCamera) -> None:
    camera = start_camera(clip, user="viewer", password="right-horse")

    done = run(
        "init", "--url", camera.url("viewer:right-horse"), "--name", "yard", "--prompt", "a person running", "--yes",
        home=clip.parent,
    )  # fmt: skip

    text = (clip.parent / "site.yaml").read_text()
    assert done.returncode == 0, done.stderr
    assert f"@127.0.0.1:{camera.port}/live" in text
    assert "# h264 160 × 120" in text
    assert "right-horse" not in text + done.stdout + done.stderr
    assert "wrote site.yaml: 1 source, 1 rule\n" in done.stdout
    assert "passwords are in secrets, for you alone\n" in done.stdout
    assert run("check", "site.yaml", home=clip.parent).returncode == 0


def test_a_camera_that_cannot_be_read_is_written_and_told(tmp_path: Path) -> None:
    done = run("init", "--url", "rtsp://u:hunter2@127.0.0.1:1/x", "--prompt", "x", "--yes", home=tmp_path)

    assert done.returncode == 1
    assert "rtsp://***@127.0.0.1:1/x: connection refused" in done.stdout
    assert (tmp_path / "site.yaml").exists()


def test_a_prompt_that_is_missing_is_told_before_the_camera_is_tested(tmp_path: Path) -> None:
    done = run("init", "--url", "rtsp://127.0.0.1:1/x", "--yes", home=tmp_path)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: what shall it look for? give --prompt\n"


def test_passwords_go_to_files_for_the_owner_alone(tmp_path: Path) -> None:
    url = "rtsp://u:hunter2@10.0.0.5/x"

    done = run("init", "--url", url, "-n", "yard", "--prompt", "x", "--no-test", "-y", home=tmp_path)

    secret = tmp_path / "secrets" / "YARD_PASSWORD"
    assert done.returncode == 0, done.stderr
    assert "hunter2" not in (tmp_path / "site.yaml").read_text()
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert load_config(tmp_path / "site.yaml").sources[0].url.get_secret_value() == url


def test_passwords_can_come_from_the_environment(tmp_path: Path) -> None:
    url = "rtsp://u:hunter2@10.0.0.5/x"

    done = run(
        "init", "--url", url, "-n", "yard", "--prompt", "x", "--secrets", "env", "--no-test", "-y", home=tmp_path
    )

    assert "url: rtsp://u:${YARD_PASSWORD}@10.0.0.5/x\n" in (tmp_path / "site.yaml").read_text()
    assert "export YARD_PASSWORD=…" in done.stdout
    assert not (tmp_path / "secrets").exists()
    assert run("check", "site.yaml", home=tmp_path, YARD_PASSWORD="hunter2").returncode == 0


def test_a_password_in_the_file_is_a_wish_and_makes_it_private(tmp_path: Path) -> None:
    url = "rtsp://u:hunter2@10.0.0.5/x"

    run("init", "--url", url, "--prompt", "x", "--secrets", "inline", "--no-test", "-y", home=tmp_path)

    assert load_config(tmp_path / "site.yaml").sources[0].url.get_secret_value() == url
    assert stat.S_IMODE((tmp_path / "site.yaml").stat().st_mode) == 0o600


def test_what_is_there_is_not_overwritten_unasked(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text("mine")
    arguments = ("init", "--url", "/dev/video0", "--prompt", "x", "--no-test", "-y")

    refused = run(*arguments, home=tmp_path)
    kept = (tmp_path / "site.yaml").read_text()
    forced = run(*arguments, "--force", home=tmp_path)

    assert (refused.returncode, kept) == (2, "mine")
    assert refused.stderr == "error: site.yaml: is there already; --force writes it anew\n"
    assert forced.returncode == 0


def test_a_secret_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "YARD_PASSWORD").write_text("another")
    url = "rtsp://u:hunter2@10.0.0.5/x"

    done = run("init", "--url", url, "-n", "yard", "--prompt", "x", "--no-test", "-y", home=tmp_path)

    assert done.returncode == 2
    assert "secrets/YARD_PASSWORD: is there already" in done.stderr
    assert (tmp_path / "secrets" / "YARD_PASSWORD").read_text() == "another"
    assert not (tmp_path / "site.yaml").exists()


def test_a_configuration_that_is_written_anew_brings_its_passwords_along(tmp_path: Path) -> None:
    for password in ("wrong", "hunter2"):
        url = f"rtsp://u:{password}@10.0.0.5/x"
        done = run("init", "--url", url, "-n", "yard", "--prompt", "x", "--no-test", "-y", "--force", home=tmp_path)

    assert done.returncode == 0, done.stderr
    assert load_config(tmp_path / "site.yaml").sources[0].url.get_secret_value() == "rtsp://u:hunter2@10.0.0.5/x"


def test_a_configuration_that_is_refused_leaves_no_passwords_behind(tmp_path: Path) -> None:
    done = run("init", "--url", "rtps://u:hunter2@10.0.0.5/x", "--prompt", "x", "--no-test", "-y", home=tmp_path)

    assert done.returncode == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "which camera? give --url or --from-frigate"),
        (("--url", "/dev/video0"), "what shall it look for? give --prompt"),
        (("--url", "a", "--from-frigate", "b"), "--from-frigate brings its cameras: leave --url out"),
        (("--url", "a.mp4", "--name", "庭", "--prompt", "x"), "庭: is no name for a camera: it needs letters"),
        (("--url", "~nobody-here/a.mp4", "--prompt", "x"), "~nobody-here/a.mp4: begins with ~, and there is no such"),
        (("--from-frigate", "none.yml"), "none.yml: cannot be read: No such file or directory"),
        (("none/site.yaml",), "none: there is no such folder"),
        (("--url", "rtps://a/b", "--prompt", "x"), "site.yaml:8:10: sources[0].url: must start with rtsp://"),
    ],
)
def test_what_is_missing_is_told_where_nobody_can_be_asked(
    arguments: tuple[str, ...], sentence: str, tmp_path: Path
) -> None:
    done = run("init", *arguments, "--no-test", "--yes", home=tmp_path)

    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {sentence}")
    assert not (tmp_path / "site.yaml").exists()


# ------------------------------------------------------------------------------------------------------ questions


def test_questions_lead_to_a_configuration(clip: Path) -> None:
    ours, theirs = pty.openpty()
    cameras = ["none.mp4", "庭", "Haustür", "clip.mp4", "", ""]
    found = ["clip.mp4"]  # instead of the first one
    wishes = ["moon", "outdoors", "a person climbing over a fence", "two people fighting", ""]
    os.write(ours, "".join(f"{answer}\n" for answer in [*cameras, *found, *wishes]).encode())

    process = subprocess.run(
        [*PROGRAM, "init"], stdin=theirs, capture_output=True, text=True, cwd=clip.parent,
        env=environment(clip.parent), check=False, timeout=120,
    )  # fmt: skip
    os.close(ours)
    os.close(theirs)

    assert process.returncode == 0, process.stderr
    assert "none.mp4: there is no such file" in process.stdout
    assert "moon is none of them" in process.stdout
    written = yaml.safe_load((clip.parent / "site.yaml").read_text())
    assert [(source["id"], source["url"]) for source in written["sources"]] == [
        ("Haustur", "clip.mp4"),
        ("clip", "clip.mp4"),
    ]
    assert [rule["prompts"] for rule in written["rules"]] == [
        ["a person climbing over a fence"],
        ["two people fighting"],
    ]
    assert written["rules"][0]["background"] == ["group:outdoors"]
    assert run("check", "site.yaml", home=clip.parent).returncode == 0


# --------------------------------------------------------------------------------------------------- text, secrets


@given(st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=60))
def test_any_text_survives_the_way_into_yaml_and_back(text: str) -> None:
    assert yaml.safe_load(f"key: {scalar(text)}") == {"key": text}


@given(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=60))
def test_any_prompt_is_what_the_rule_looks_for(prompt: str) -> None:
    site = NewSite(
        cameras=[NewCamera(id="yard", url="yard.mp4")], prompts=[prompt], background=["an empty yard."], checkpoint=None
    )

    text = site_text(site, name="site.yaml")

    assert read_config(text, name="site.yaml", folder=Path("/"), environ={}).rules[0].prompts == (prompt,)


@pytest.mark.parametrize(
    ("url", "written", "secrets"),
    [
        ("rtsp://u:p@h/s", "rtsp://u:${YARD_PASSWORD}@h/s", {"YARD_PASSWORD": "p"}),
        ("rtsp://u:p@ss@h/s", "rtsp://u:${YARD_PASSWORD}@h/s", {"YARD_PASSWORD": "p@ss"}),
        ("rtsp://u:${P}@h/s", "rtsp://u:${P}@h/s", {}),
        ("rtsp://u@h/s", "rtsp://u@h/s", {}),
        ("http://h/s?user=u&password=p&x=1", "http://h/s?user=u&password=${YARD_TOKEN}&x=1", {"YARD_TOKEN": "p"}),
        ("rtsp://h/user=u_password=p_c=1", "${YARD_URL}", {"YARD_URL": "rtsp://h/user=u_password=p_c=1"}),
        ("/dev/video0", "/dev/video0", {}),
        ("films/yard.mp4", "films/yard.mp4", {}),
    ],
)
def test_a_secret_is_replaced_by_its_name(url: str, written: str, secrets: dict[str, str]) -> None:
    found = Secrets()

    camera = without_secrets(NewCamera(id="yard", url=url), found, from_file=False)

    assert camera.url == written
    assert {name: secret for secret, name in found.names.items()} == secrets


def test_the_same_password_has_one_name_and_another_one_its_own() -> None:
    found = Secrets()
    urls = ["rtsp://u:p@a/s", "rtsp://u:p@b/s", "rtsp://u:q@a/t"]

    cameras = [without_secrets(camera, found, from_file=False) for camera in named_cameras(urls, [])]

    assert [camera.id for camera in cameras] == ["a", "b", "a-2"]
    assert [camera.url for camera in cameras] == [
        "rtsp://u:${A_PASSWORD}@a/s",
        "rtsp://u:${A_PASSWORD}@b/s",
        "rtsp://u:${A_2_PASSWORD}@a/t",
    ]


# -------------------------------------------------------------------------------------------------------- Frigate


def test_restreams_are_followed_to_the_cameras() -> None:
    found = read_frigate((FRIGATE / "restreams.yml").read_text(), name="c.yml")

    login = "${FRIGATE_USER}:${FRIGATE_PASS}"
    assert {camera.id: (camera.url, camera.record_url) for camera in found.cameras} == {
        "front": (f"rtsp://{login}@10.0.0.9/sub?channel=1&subtype=1", f"rtsp://{login}@10.0.0.9:554/main"),
        "hall": (f"rtsp://{login}@10.0.0.9:554/main", None),
        "drive": ("rtsps://10.0.0.12:7441/abc", None),
        "bell": ("rtsp://127.0.0.1:8554/bell", None),
    }
    assert found.remarks == [
        "camera bell: go2rtc's bell leads to no camera; put the host of Frigate into its url",
        "detect of front: not taken over",
        "zones of front: not taken over; draw them as regions of the source",
        "mqtt: not taken over; a sink can send events to your broker",
    ]


def test_cameras_of_every_kind_are_taken_or_told() -> None:
    found = read_frigate((FRIGATE / "direct.yml").read_text(), name="c.yml")

    back, garden, doorbell, desk = found.cameras
    assert back.url.startswith("rtsp://viewer:${FRIGATE_RTSP_PASSWORD}@10.0.10.10:554/cam/realmonitor?channel=1")
    assert back.record_url == "rtsp://viewer:plain-horse@10.0.10.10:554/live"
    assert (garden.transport, garden.record_url) == ("udp", None)
    assert doorbell.url.startswith("http://10.0.10.12/flv?")
    assert desk.url == "/dev/video0"
    assert {
        "camera attic: left out, since it is not enabled",
        "camera stable: left out, since rtmp is no kind of source here",
        "camera empty: left out, since it has no ffmpeg inputs",
        "record: not taken over",
    } < set(found.remarks)


@pytest.mark.parametrize("name", ["restreams.yml", "direct.yml"])
def test_what_is_taken_from_frigate_passes_the_check_without_a_password(name: str, tmp_path: Path) -> None:
    arguments = ("--from-frigate", str(FRIGATE / name), "--prompt", "a person running")

    done = run("init", *arguments, "--no-test", "--yes", home=tmp_path)

    assert done.returncode == 0, done.stderr
    text = (tmp_path / "site.yaml").read_text()
    assert "plain-" not in text
    unset = [line.split()[1].removesuffix("=…") for line in done.stdout.splitlines() if "export" in line]
    checked = run("check", "site.yaml", home=tmp_path, **dict.fromkeys(unset, "x"))
    assert checked.returncode == 0, checked.stderr


def test_a_camera_whose_variable_is_not_set_is_not_tested(tmp_path: Path) -> None:
    config = "cameras: {yard: {ffmpeg: {inputs: [{path: 'rtsp://u:{FRIGATE_P}@127.0.0.1:1/x'}]}}}"
    (tmp_path / "c.yml").write_text(config)
    arguments = ("init", "--from-frigate", "c.yml", "--prompt", "x", "--yes", "--force")

    unset = run(*arguments, home=tmp_path)
    is_set = run(*arguments, home=tmp_path, FRIGATE_P="p")

    assert unset.returncode == 0
    assert "yard: not tested, since FRIGATE_P is not set" in unset.stdout
    assert is_set.returncode == 1
    assert "connection refused" in is_set.stdout


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("cameras: [", "c.yml:2:1: is not YAML"),
        ("sources: []", "c.yml: is not a configuration of Frigate: it has no cameras"),
        ("cameras: {a: }", "c.yml: has no camera that can be taken over\ncamera a: left out"),
        ("- a", "c.yml: is not a configuration of Frigate"),
    ],
)
def test_what_is_no_frigate_configuration_is_told(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_frigate(text + "\n", name="c.yml")

    assert str(caught.value).startswith(sentence)
