"""TLS to a real server: who is trusted, and what is told when a file is wrong."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import Certificates
from tests.ports import free_port
from tests.queues.builders import fill, take
from tests.redis_servers import RedisServer
from xclip_stream.errors import ConfigError, QueueUnavailable
from xclip_stream.queues.redis import open_queue


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates.make(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def port(certificates: Certificates) -> Iterator[int]:
    port = free_port()
    with RedisServer("7", "--bind", "127.0.0.1", *certificates.server_options(port)):
        yield port


def test_a_queue_works_over_tls_with_a_certificate_of_its_own(certificates: Certificates, port: int) -> None:
    with open_queue(f"rediss://localhost:{port}/0?{certificates.client_query}") as queue:
        fill(queue, 2)

        assert [taken.window.id.seq for taken in take(queue)] == [0, 1]


def test_a_server_whose_signer_is_not_known_is_not_talked_to(port: int) -> None:
    with open_queue(f"rediss://127.0.0.1:{port}") as queue, pytest.raises(QueueUnavailable, match="VERIFY_FAILED"):
        queue.ping()


def test_a_server_that_has_the_certificate_of_another_name_is_not_talked_to(
    certificates: Certificates, port: int
) -> None:
    # 127.0.0.2 is this machine too, but the certificate does not name it.
    with RedisServer("7", "--bind", "127.0.0.2", *certificates.server_options(free := free_port())):
        url = f"rediss://127.0.0.2:{free}?{certificates.client_query}"
        with open_queue(url) as queue, pytest.raises(QueueUnavailable, match="IP address mismatch"):
            queue.ping()


def test_a_server_that_wants_a_certificate_refuses_who_shows_none(certificates: Certificates, port: int) -> None:
    with (
        open_queue(f"rediss://127.0.0.1:{port}?ssl_ca_certs={certificates.ca_file}") as queue,
        pytest.raises(QueueUnavailable),
    ):
        queue.ping()


def test_a_file_that_cannot_be_used_is_told_by_its_name(certificates: Certificates, tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("nothing")
    ca, crt, key = (certificates.folder / name for name in ("ca.crt", "client.crt", "server.key"))
    troubles = {
        f"ssl_ca_certs={tmp_path}/nowhere.pem": "nowhere.pem cannot be used: No such file",
        f"ssl_ca_certs={garbage}": "garbage.pem cannot be used",
        f"ssl_certfile={crt}&ssl_keyfile={tmp_path}/nowhere.key": "nowhere.key cannot be used: No such file",
        f"ssl_certfile={crt}&ssl_keyfile={key}": "server.key cannot be used: KEY_VALUES_MISMATCH",
        f"ssl_ca_certs={ca}&ssl_certfile={garbage}": "garbage.pem cannot be used",
    }

    for query, trouble in troubles.items():
        with pytest.raises(ConfigError, match=trouble):
            open_queue(f"rediss://127.0.0.1?{query}")


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("rediss://h:1?ssl_ca_certs=/nowhere.pem", "/nowhere.pem"),
        ("redis+sentinel://u:hunter2@a,b", "name the service"),
    ],
)
def test_a_worker_with_a_wrong_address_ends_at_once_with_one_line_and_exit_code_2(
    url: str, told: str, tmp_path: Path
) -> None:
    config = tmp_path / "site.yaml"
    config.write_text(
        "sources: [{id: yard, url: yard.mp4}]\nrules: [{id: r, prompts: [running], background: [walking]}]\n"
    )

    ended = subprocess.run(
        [sys.executable, "-m", "workers.deliver", "--config", str(config)],
        env={"XCLIP_STREAM_REDIS_URL": url, "XCLIP_STREAM_LOG": "json"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 2
    assert [told in line for line in ended.stderr.splitlines()].count(True) == 1
    assert "hunter2" not in ended.stderr
