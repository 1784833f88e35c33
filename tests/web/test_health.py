import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.ports import free_port
from xclip_stream.errors import ConfigError
from xclip_stream.web.ask_health import ask_health
from xclip_stream.web.health import HealthServer


class Patient:
    """What the server is to ask."""

    def __init__(self) -> None:
        self.illness: str | None = None
        self.obstacle: str | None = None


@pytest.fixture
def patient() -> Patient:
    return Patient()


@pytest.fixture
def address(patient: Patient) -> Iterator[str]:
    with HealthServer("127.0.0.1:0", alive=lambda: patient.illness, ready=lambda: patient.obstacle) as server:
        yield server.address


def ask(address: str, path: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(address, timeout=30)
    connection.request(method, path)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, dict(response.getheaders()), body


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/readyz?verbose"])
def test_all_is_well(address: str, path: str) -> None:
    status, headers, body = ask(address, path)

    assert (status, body) == (200, b'{"status": "ok"}\n')
    assert headers["Content-Type"] == "application/json"
    assert headers["Cache-Control"] == "no-store"


def test_each_path_has_its_own_reason_in_one_line(address: str, patient: Patient) -> None:
    patient.illness, patient.obstacle = "score: no progress for 61 s", "two\nlines"

    ill, blocked = ask(address, "/healthz"), ask(address, "/readyz")

    assert ill[0] == blocked[0] == 503
    assert json.loads(ill[2]) == {"status": "failing", "reason": "score: no progress for 61 s"}
    assert json.loads(blocked[2])["reason"] == "two\nlines"
    assert blocked[2].count(b"\n") == 1


def test_a_reason_never_shows_a_password(address: str, patient: Patient) -> None:
    patient.obstacle = "Redis at redis://app:hunter22@queue:6379 does not answer"

    _, headers, body = ask(address, "/readyz")

    assert json.loads(body)["reason"] == "Redis at redis://***@queue:6379 does not answer"
    assert "Python" not in headers["Server"]


def test_there_is_nothing_else(address: str) -> None:
    assert ask(address, "/")[0] == 404
    assert ask(address, "/healthz", "POST")[0] == 501


def test_metrics_are_served_as_they_are_given() -> None:
    def metrics() -> tuple[str, bytes]:
        return "text/plain; version=0.0.4", b"up 1\n"

    with HealthServer("127.0.0.1:0", alive=lambda: None, ready=lambda: None, metrics=metrics) as server:
        status, headers, body = ask(server.address, "/metrics")
        unknown = ask(server.address, "/")

    assert (status, headers["Content-Type"], body) == (200, "text/plain; version=0.0.4", b"up 1\n")
    assert json.loads(unknown[2])["reason"] == "ask for /healthz or /readyz or /metrics"


def test_a_head_request_has_no_body(address: str, patient: Patient) -> None:
    patient.obstacle = "not yet"

    status, _, body = ask(address, "/readyz", "HEAD")

    assert (status, body) == (503, b"")


def test_a_client_that_says_nothing_keeps_nobody_waiting(address: str) -> None:
    host, port = address.split(":")
    with socket.create_connection((host, int(port))):
        status, _, _ = ask(address, "/healthz")

    assert status == 200


def test_many_that_say_nothing_cost_no_more_than_a_few_threads(address: str) -> None:
    host, port = address.split(":")
    before = threading.active_count()
    with ExitStack() as clients:
        for _ in range(200):
            client = clients.enter_context(socket.create_connection((host, int(port)), timeout=30))
            client.sendall(b"GET /heal")
        status, _, _ = ask(address, "/healthz")
        threads = threading.active_count() - before

    assert status == 200
    assert threads < 100


def test_the_address_is_free_again_once_the_server_is_left() -> None:
    with HealthServer("127.0.0.1:0", alive=lambda: None, ready=lambda: None) as server:
        address = server.address
    with HealthServer(address, alive=lambda: None, ready=lambda: None):
        status, _, _ = ask(address, "/healthz")

    assert status == 200
    assert [thread.name for thread in threading.enumerate() if thread.name == "health"] == []


def test_a_socket_that_a_killed_process_left_makes_room(tmp_path: Path) -> None:
    path = tmp_path / "score"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))

    served = HealthServer(f"unix:{path}", alive=lambda: None, ready=lambda: None)
    with served as server, socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(str(path))
        client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        answer = client.makefile().read()

    assert server.address == f"unix:{path}"
    assert answer.endswith('{"status": "ok"}\n')


@pytest.mark.parametrize("address", ["8080", ":8080", "localhost", "localhost:http", "127.0.0.1:70000", "[::1]", ""])
def test_what_is_no_address_is_a_mistake_of_the_user(address: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot serve health on .*: write HOST:PORT, like 0\.0\.0\.0:8080"):
        HealthServer(address, alive=lambda: None, ready=lambda: None).__enter__()


def test_an_address_in_use_is_told_in_one_line(address: str) -> None:
    with pytest.raises(ConfigError) as caught:
        HealthServer(address, alive=lambda: None, ready=lambda: None).__enter__()

    assert str(caught.value) == f"cannot serve health on {address}: Address already in use"


def test_a_host_of_another_machine_is_told_in_one_line() -> None:
    with pytest.raises(ConfigError, match=r"^cannot serve health on 192\.0\.2\.1:8080: Cannot assign"):
        HealthServer("192.0.2.1:8080", alive=lambda: None, ready=lambda: None).__enter__()


def test_where_nobody_listens_nobody_is_well() -> None:
    is_well, answer = ask_health(f"127.0.0.1:{free_port()}/healthz")

    assert not is_well
    assert answer.endswith("Connection refused")
