"""The command line: every command that needs no model, as a user starts it."""

import json
import stat
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from tests.command_line import PROGRAM, ROOT, environment, run, start
from tests.score_builders import judge, recording, rule
from tests.statuses import rule_status, source_status
from xclip_stream.cli.connection import state_dir
from xclip_stream.cli.ids import source_name
from xclip_stream.cli.status_lines import StatusBoard, clock_text
from xclip_stream.cli.watch import WatchOptions, load_written, write_config
from xclip_stream.config import GROUPS, load_config
from xclip_stream.errors import ConfigError
from xclip_stream.events import encode_event
from xclip_stream.pipeline.progress import Progress, Scope, Snapshot
from xclip_stream.protocols import QueueDepths, SourceState
from xclip_stream.queues.memory import MemoryQueue
from xclip_stream.queues.redis import open_queue
from xclip_stream.queues.server import EmbeddedRedis
from xclip_stream.types import Message, ScoreStatus, WindowId

COMMANDS = [
    ("run",),
    ("watch",),
    ("check",),
    ("probe",),
    ("init",),
    ("discover",),
    ("worker",),
    ("events", "tail"),
    ("dead-letters", "list"),
    ("dead-letters", "replay"),
    ("dead-letters", "drop"),
    ("forget",),
]

SITE = """\
sources: [{id: yard, url: "rtsp://bob:hunter22@127.0.0.1:1/x?token=abc"}]
rules: [{id: climbing, prompts: [a person climbing], background: [an empty yard]}]
sinks:
  - {id: ops, type: webhook, url: "https://example.org/T0K3N", secret: whsec_c2VjcmV0}
redis: {dir: redis}
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "site.yaml").write_text(SITE)
    return tmp_path


# ------------------------------------------------------------------------------------------------- usage and help


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_has_examples(command: tuple[str, ...], tmp_path: Path) -> None:
    done = run(*command, "--help", home=tmp_path)

    assert done.returncode == 0
    assert f"xclip-stream {' '.join(command)} " in done.stdout.partition("Examples")[2]


def test_the_version_is_told(tmp_path: Path) -> None:
    assert run("--version", home=tmp_path).stdout.startswith("xclip-stream 0.")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("chek",), "no such command 'chek'. Did you mean 'check'? See xclip-stream --help"),
        (("run",), "missing argument 'CONFIG'. See xclip-stream run --help"),
        (("watch", "a.mp4"), "missing argument 'PROMPT'. See xclip-stream watch --help"),
        (("dead-letters", "eat"), "no such command 'eat'. See xclip-stream dead-letters --help"),
        (("run", "x", "--again=3"), "option '--again' does not take a value. See xclip-stream --help"),
        (
            ("probe", "x", "--transport", "pigeon"),
            "invalid value for '--transport': 'pigeon' is not one of 'tcp', 'udp'. See xclip-stream probe --help",
        ),
        (
            ("events", "tail", "--from", "yesterday"),
            "--from takes an id, such as 1718000000000-0. See xclip-stream events tail --help",
        ),
        (
            ("probe", "a.mp4", "rtsp://bob:hunter22@camera/x"),
            "got unexpected extra argument(s) (rtsp://***@camera/x). See xclip-stream probe --help",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_wrong_usage_is_one_line_and_ends_with_two(arguments: tuple[str, ...], line: str, tmp_path: Path) -> None:
    done = run(*arguments, home=tmp_path)

    assert done.returncode == 2
    assert done.stderr == f"error: {line}\n"
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("redirection", "encoding", "code", "errors"),
    [
        (">&- <&-", "utf-8", 0, ""),
        (">/dev/full", "utf-8", 1, "error: the output: no space is left on the device\n"),
        (">shown.txt", "ascii", 0, ""),
    ],
    ids=["closed", "full", "ascii"],
)
@pytest.mark.parametrize("command", ["check site.yaml", "check site.yaml --json"])
def test_an_output_that_takes_not_everything_is_no_defect(
    command: str, redirection: str, encoding: str, code: int, errors: str, site: Path
) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "$0" "$@" {redirection}', *PROGRAM, *command.split()],
        capture_output=True,
        text=True,
        check=False,
        cwd=site,
        env=environment(site, PYTHONIOENCODING=encoding),
    )

    assert (done.returncode, done.stderr) == (code, errors)


def test_ctrl_c_while_it_is_loaded_ends_it_quietly(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt")

    done = run("check", "site.yaml", home=tmp_path, PYTHONPATH=f"{tmp_path}:{ROOT}")

    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.parametrize("arguments", [(), ("events",)], ids=" ".join)
def test_no_command_at_all_shows_the_help(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = run(*arguments, home=tmp_path)

    assert done.returncode == 2
    assert "Commands" in done.stdout
    assert done.stderr == ""


# ---------------------------------------------------------------------------------------------------------- check


def test_check_shows_what_a_configuration_means_and_no_secret(site: Path) -> None:
    done = run("check", "site.yaml", home=site)

    assert done.returncode == 0, done.stderr
    assert "rtsp://***@127.0.0.1:1/x?token=***" in done.stdout
    assert done.stdout.endswith("site.yaml: ok\n")
    for secret in ("hunter22", "abc", "bob", "c2VjcmV0", "T0K3N"):
        assert secret not in done.stdout + done.stderr


def test_check_prints_json(site: Path) -> None:
    done = run("check", "site.yaml", "--json", home=site)

    shown = json.loads(done.stdout)
    assert shown["rules"][0]["enter"] == 0.6
    assert len(shown["config_hash"]) == 16
    assert "hunter22" not in done.stdout
    assert "T0K3N" not in done.stdout


def test_check_tells_every_mistake_and_ends_with_two(site: Path) -> None:
    (site / "bad.yaml").write_text(SITE.replace("climbing,", "climbing, enterr: 3,").replace("webhook", "webhok"))

    done = run("check", "bad.yaml", home=site)

    assert done.returncode == 2
    assert done.stdout == ""
    unknown_key, unknown_type = done.stderr.splitlines()
    assert unknown_key == "error: bad.yaml:2:24: rules[0].enterr: unknown key, did you mean 'enter'?"
    assert unknown_type.startswith("error: bad.yaml:4:21: sinks[0].type: must be console, jsonl, redis, webhook, ")
    assert unknown_type.endswith(", did you mean 'webhook'?")


def test_check_shows_paths_without_the_way_back_from_the_folder_of_the_file(site: Path) -> None:
    (site / "configs").mkdir()
    (site / "configs" / "films.yaml").write_text(
        "sources: [{id: a, url: ../films/a.mp4}]\nrules: [{id: r, prompts: [x]}]\n"
        "sinks: [{id: kept, type: jsonl, path: ../events.jsonl}]\n"
    )

    done = run("check", "configs/films.yaml", home=site)

    assert done.returncode == 0, done.stderr
    assert f"note: source a: there is no file {site}/films/a.mp4 now" in done.stdout
    assert f"{site}/events.jsonl" in done.stdout
    assert ".." not in done.stdout


def test_check_knows_the_frames_of_a_checkpoint_that_is_at_hand(site: Path) -> None:
    (site / "demo.yaml").write_text("""
model: {checkpoint: demo}
sources: [{id: film, url: film.mp4, window: {stride_s: 0.7}}]
rules: [{id: falling, prompts: [a person falling]}]
""")

    done = run("check", "demo.yaml", home=site)

    assert done.returncode == 2
    assert "source film: window: stride_s 0.7 must be a whole number of frame spacings" in done.stderr


def test_check_notes_what_is_seldom_meant(site: Path) -> None:
    (site / "odd.yaml").write_text(
        "sources: [{id: a, url: a.mp4}, {id: b, url: b.mp4}]\nrules: [{id: r, sources: [a], prompts: [x]}]\n"
    )

    done = run("check", "odd.yaml", home=site)

    notes = [line for line in done.stdout.splitlines() if line.startswith("note: ")]
    assert notes == [
        f"note: source a: there is no file {site}/a.mp4 now",
        "note: no rule watches source b",
        f"note: source b: there is no file {site}/b.mp4 now",
        "note: there is no sink: events are on the public event stream only",
    ]


@pytest.mark.parametrize(
    ("path", "sentence"),
    [("none.yaml", "none.yaml: cannot be read: No such file"), (".", ".: is a folder, not a configuration file")],
)
@pytest.mark.parametrize("command", [("check",), ("run",), ("worker", "score", "--config")], ids=" ".join)
def test_a_configuration_that_is_not_there_is_one_line(
    command: tuple[str, ...], path: str, sentence: str, tmp_path: Path
) -> None:
    done = run(*command, path, home=tmp_path)

    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {sentence}")
    assert len(done.stderr.splitlines()) == 1


# ------------------------------------------------------------------------------------------ events, dead letters

REMOVED = source_status(source_id="old", state=SourceState.ENDED, live=False, position_s=9.0, duration_s=9.0, windows=5)


@pytest.fixture
def filled(site: Path) -> Iterator[Path]:
    """A site whose queue has one event on its stream, and that event among the dead letters."""
    _, notices = judge(recording([0.9, 0.1]), rule("climbing"))
    body = encode_event(notices[0].event, number=0)
    message = Message(message_id="m:0", source_id="yard", body=body, committed_at=1.0)
    with EmbeddedRedis(site / "redis") as server, closing(open_queue(server.url)) as queue:
        token = queue.acquire_alert(ttl_s=5)
        assert token is not None
        queue.commit(token, source_id="yard", state=b"{}", events=[message], outbox=[("ops", message)], done=[])
        assert queue.acquire_sink("ops", ttl_s=5) is not None
        (taken,) = queue.take_messages("ops", max_count=1, block_s=1)
        queue.bury_message("ops", taken, reason="the endpoint is gone")
        yield site


def test_events_are_printed_for_people_and_as_json(filled: Path) -> None:
    text = run("events", "tail", "--config", "site.yaml", "--no-follow", home=filled)
    as_json = run("events", "tail", "--config", "site.yaml", "--no-follow", "--json", home=filled)

    assert text.returncode == as_json.returncode == 0, text.stderr
    assert "started" in text.stdout
    assert json.loads(as_json.stdout)["data"]["rule_id"] == "climbing"


def test_events_can_be_followed_until_ctrl_c(filled: Path) -> None:
    process = start("events", "tail", "--config", "site.yaml", "--from", "0", home=filled)
    assert process.stdout is not None

    line = process.stdout.readline()
    process.send_signal(2)
    _, errors = process.communicate(timeout=60)

    assert "started" in line
    assert process.returncode == 130
    assert errors == ""


def test_a_reader_that_goes_away_ends_events_quietly(filled: Path) -> None:
    process = start("events", "tail", "--config", "site.yaml", "--from", "0", "--no-follow", home=filled)
    assert process.stdout is not None
    assert process.stderr is not None

    process.stdout.close()
    errors = process.stderr.read()

    assert process.wait(60) == 130
    assert errors == ""
    process.stderr.close()


def test_following_needs_something_that_runs(site: Path) -> None:
    (site / "redis").mkdir()

    done = run("events", "tail", "--config", "site.yaml", home=site)

    assert done.returncode == 1
    assert done.stderr == "error: nothing runs with this configuration now; --no-follow prints what is retained\n"


def test_who_has_no_home_folder_is_told_to_name_one(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    (site / "homeless.yaml").write_text(SITE.replace("redis: {dir: redis}", ""))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)

    with pytest.raises(ConfigError, match=r"no home folder: set redis\.dir in the configuration, or HOME"):
        state_dir(load_config(site / "homeless.yaml"), site / "homeless.yaml")


def test_a_queue_has_to_be_named(tmp_path: Path) -> None:
    done = run("events", "tail", home=tmp_path)

    assert done.returncode == 2
    assert done.stderr.startswith("error: which queue? give --config FILE or --redis URL")


def test_a_redis_that_is_not_there_is_one_line_without_its_password(tmp_path: Path) -> None:
    done = run("dead-letters", "list", "--redis", "redis://:hunter22@127.0.0.1:1/0", home=tmp_path)

    assert done.returncode == 1
    assert done.stderr.startswith("error: Redis at redis://***@127.0.0.1:1/0 does not answer")
    assert len(done.stderr.splitlines()) == 1


def test_dead_letters_are_listed_replayed_and_dropped(filled: Path) -> None:
    def letters(*arguments: str) -> list[str]:
        done = run("dead-letters", *arguments, "--config", "site.yaml", home=filled)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    (line,) = letters("list", "--json")
    letter = json.loads(line)
    table = "\n".join(letters("list"))
    replayed = letters("replay", letter["id"])

    assert letter["origin"] == "outbox:ops"
    assert letter["reason"] == "the endpoint is gone"
    assert letter["id"] in table
    assert replayed == ["1 replayed"]
    assert letters("list") == ["no dead letters"]
    assert letters("drop", "--all") == ["0 dropped"]


def test_a_dead_letter_that_is_not_there_is_an_error(filled: Path) -> None:
    done = run("dead-letters", "drop", "1-1", "--config", "site.yaml", home=filled)

    assert done.returncode == 1
    assert done.stderr == "error: there is no dead letter 1-1\n"


def test_ids_or_all_have_to_be_given(filled: Path) -> None:
    assert run("dead-letters", "drop", "--config", "site.yaml", home=filled).returncode == 2


# ---------------------------------------------------------------------------------------------------------- watch


def options(**changes: object) -> WatchOptions:
    given: dict[str, object] = {
        "source": "yard.mp4",
        "prompts": ["A person climbing!", "two people fighting"],
        "background": [],
        "enter": 0.6,
        "exit": None,
        "span_s": 4.0,
        "stride_s": 1.0,
        "checkpoint": None,
        "device": "auto",
        "as_json": False,
    }
    return WatchOptions(**(given | changes))  # type: ignore[arg-type] # the tests name real fields


def test_watch_makes_a_rule_of_each_prompt(tmp_path: Path) -> None:
    config = load_written(write_config(options(), tmp_path))

    assert [rule.id for rule in config.rules] == ["a-person-climbing", "two-people-fighting"]
    assert config.sources[0].url.get_secret_value() == str(Path("yard.mp4").absolute())
    assert (config.sources[0].id, config.rules[0].exit, config.sinks[0].id) == ("yard", 0.4, "console")
    assert config.rules[0].background == GROUPS["default"]


def test_watch_takes_backgrounds_and_groups_and_what_looks_like_a_reference(tmp_path: Path) -> None:
    found = load_written(write_config(options(background=["group:street", "price ${5}"], enter=0.3), tmp_path))

    assert found.rules[0].background[-1] == "price ${5}"
    assert found.rules[0].exit == 0.2


def test_only_its_owner_can_read_what_watch_writes(tmp_path: Path) -> None:
    path = write_config(options(source="rtsp://bob:hunter22@10.0.0.5/x"), tmp_path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("enter", [-1.0, 0.0, 2.0, float("nan")])
def test_watch_complains_of_enter_alone_where_it_has_made_exit_of_it(enter: float, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^--enter: must be [^\n]*$"):
        load_written(write_config(options(enter=enter), tmp_path))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"enter": 1.5, "exit": 0.4}, "--enter: must be at most 1"),
        ({"exit": 0.7}, "--exit: must be less than enter (0.6)"),
        ({"source": "rstp://10.0.0.5/x"}, "SOURCE: must start with rtsp://"),
        ({"source": "10.0.0.5:554/x"}, "SOURCE: looks like an address without its scheme: begin it with rtsp://"),
        ({"source": "bob:hunter22@cam"}, "SOURCE: looks like an address without its scheme: begin it with rtsp://"),
        ({"span_s": 0.0}, "--span: must be at least 0.1"),
        ({"background": ["a person climbing!"]}, "--background: 'a person climbing!' is a prompt of this rule too"),
        ({"prompts": [" "]}, "PROMPT: is an empty prompt"),
        ({"device": "tpu"}, "--device: must be auto, cpu, cuda"),
        ({"source": "~nobody-here/a.mp4"}, "SOURCE: begins with ~, and there is no such home folder"),
        ({"checkpoint": "~nobody-here"}, "--checkpoint: begins with ~, and there is no such home folder"),
    ],
)
def test_watch_tells_mistakes_in_terms_of_its_options(
    changes: dict[str, object], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_written(write_config(options(**changes), tmp_path))

    assert str(caught.value).splitlines()[0].startswith(sentence)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("rtsp://bob:p@ss@10.0.0.5:554/stream", "10.0.0.5"),
        ("https://cams.example.org/live?x=1", "cams.example.org"),
        ("/films/my yard (2).mp4", "my-yard-2"),
        ("/films/???", "source"),
        ("/dev/video0", "video0"),
        ("v4l2:///dev/video2?size=1280x720", "video2"),
    ],
)
def test_a_source_is_named_after_its_host_or_file(source: str, name: str) -> None:
    assert source_name(source) == name


# ----------------------------------------------------------------------------------------------- progress, status


def snapshot(*, state: SourceState, live: bool, windows: int, position_s: float, dropped: int = 0) -> Snapshot:
    status = source_status(
        state=state,
        live=live,
        fps=24.6,
        position_s=position_s,
        duration_s=None if live else 100.0,
        windows=windows,
        dropped=dropped,
        lag_s=0.4,
        error="it broke" if state in {SourceState.FAILED, SourceState.STALLED} else "",
    )
    rules = rule_status(
        windows=windows,
        dropped=dropped,
        expired=2,
        position_s=position_s,
        top_rule="climbing",
        top_score=0.71,
        open_events=1,
        events=1,
    )
    depths = QueueDepths(windows=0, window_bytes=0, scores=0, outbox={}, dead=0)
    return Snapshot({"yard": status}, {"yard": rules}, depths, frozenset(), frozenset(), frozenset())


def shown(board: StatusBoard, *, width: int = 160) -> str:
    console = Console(width=width)
    with console.capture() as capture:
        console.print(board.table())
    return " ".join(capture.get().split())


def test_a_file_has_a_bar_with_the_time_that_is_left(tmp_path: Path) -> None:
    now = 50.0
    board = StatusBoard(load_written(write_config(options(), tmp_path)).sources, now=lambda: now)
    waiting = shown(board)
    board.update(snapshot(state=SourceState.RUNNING, live=False, windows=10, position_s=10.0))
    now = 60.0
    board.update(snapshot(state=SourceState.RUNNING, live=False, windows=30, position_s=30.0))

    line = shown(board)

    assert waiting == "yard starting"
    assert "0:30/1:40 ETA 0:35 2.0 windows/s climbing 0.71" in line


def test_a_camera_has_a_line_of_its_health(tmp_path: Path) -> None:
    sources = load_written(write_config(options(source="rtsp://10.0.0.5/x"), tmp_path)).sources
    board = StatusBoard([sources[0].model_copy(update={"id": "yard"})])

    board.update(snapshot(state=SourceState.STALLED, live=True, windows=9, position_s=10.0, dropped=3))

    assert shown(board) == "yard stalled 24.6 fps lag 0.4 s 5 dropped it broke climbing 0.71"


def test_a_narrow_terminal_cuts_no_name_off(tmp_path: Path) -> None:
    sources = load_written(write_config(options(source="rtsp://10.0.0.5/x"), tmp_path)).sources
    name, rule_id = "the-gate-in-the-north", "a-person-climbing-over-a-fence"
    seen = snapshot(state=SourceState.STALLED, live=True, windows=9, position_s=10.0)
    error = "rtsp://10.0.0.5/stream1: connection refused; is the camera on, and the port right?"
    board = StatusBoard([sources[0].model_copy(update={"id": name})])

    board.update(
        replace(
            seen,
            sources={name: replace(seen.sources["yard"], error=error)},
            rules={name: replace(seen.rules["yard"], top_rule=rule_id)},
        )
    )

    text = shown(board, width=80)
    assert name in text
    assert "…" not in text


def test_a_source_that_failed_says_why(tmp_path: Path) -> None:
    board = StatusBoard(load_written(write_config(options(), tmp_path)).sources)

    board.update(snapshot(state=SourceState.FAILED, live=False, windows=0, position_s=0.0))

    assert shown(board) == "yard failed it broke"


def test_a_duration_is_told_like_on_a_clock() -> None:
    assert [clock_text(seconds) for seconds in (0, 59.2, 61, 3661)] == ["0:00", "1:00", "1:01", "1:01:01"]


FILM = Scope(source_ids=frozenset({"film"}), file_ids=frozenset({"film"}), sink_ids=())


def test_a_run_is_done_when_two_looks_agree_that_nothing_is_left() -> None:
    queue = MemoryQueue()
    progress = Progress(overview=queue, scope=FILM, started_at=5.0)
    running = progress.is_done(progress.look())
    queue.report_source(
        source_status(source_id="film", state=SourceState.FAILED, live=False, error="no such file", updated_at=6.0)
    )

    looks = [progress.is_done(progress.look()), progress.is_done(progress.look())]

    assert not running
    assert looks == [False, True]


def test_a_run_is_not_done_any_more_when_a_source_was_added_and_done_again_when_it_was_removed() -> None:
    queue = MemoryQueue()
    progress = Progress(overview=queue, scope=FILM, started_at=5.0)
    queue.begin_epoch("film", "e1", live=False)
    queue.add_tombstone(
        WindowId("film", "e1", 0), status=ScoreStatus.SOURCE_ENDED, live=False, pts_s=1.0, captured_at=1.0
    )
    alone = progress.is_read(progress.look())

    progress.follow(replace(FILM, source_ids=frozenset({"film", "yard"})))
    with_another = progress.is_read(progress.look())
    progress.follow(FILM)

    assert (alone, with_another, progress.is_read(progress.look())) == (True, False, True)


def test_a_status_of_an_earlier_run_does_not_count() -> None:
    queue = MemoryQueue()
    progress = Progress(overview=queue, scope=FILM, started_at=5.0)

    queue.report_source(
        source_status(source_id="film", state=SourceState.FAILED, live=False, error="no such file", updated_at=4.0)
    )

    assert not progress.is_read(progress.look())


# --------------------------------------------------------------------------------------------------------- forget


def test_what_was_removed_is_forgotten_and_what_is_there_is_kept(filled: Path) -> None:
    with EmbeddedRedis(filled / "redis") as server, closing(open_queue(server.url)) as queue:
        queue.report_source(replace(REMOVED, source_id="old"))
        queue.report_source(replace(REMOVED, source_id="read"))
        queue.acquire_source("read", ttl_s=600)
        done = run(
            *("forget", "--source", "old", "--source", "yard", "--source", "read", "--source", "none"),
            *("--sink", "ops", "--sink", "gone", "--config", "site.yaml"),
            home=filled,
        )
        left = queue.source_statuses()

    assert done.returncode == 1
    assert done.stdout.splitlines() == ["source old: forgotten", "sink gone: messages that were dropped: 0"]
    in_use, read, unknown, sink = done.stderr.splitlines()
    assert in_use == "error: source yard: it is in the configuration"
    assert read.startswith("error: source read: ")
    assert read.endswith(" reads it")
    assert unknown == "error: source none: there is nothing of it"
    assert sink == "error: sink ops: it is in the configuration"
    assert set(left) == {"read"}


def test_a_source_with_open_events_is_not_forgotten(filled: Path) -> None:
    with EmbeddedRedis(filled / "redis") as server, closing(open_queue(server.url)) as queue:
        queue.report_rules(rule_status(source_id="old", open_events=1, events=2))
        done = run("forget", "--source", "old", "--config", "site.yaml", home=filled)

    assert done.returncode == 1
    assert done.stderr.startswith("error: source old: events are open: 1; they end when")


def test_what_to_forget_has_to_be_said(site: Path) -> None:
    assert run("forget", "--config", "site.yaml", home=site).returncode == 2
