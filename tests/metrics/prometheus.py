"""A real Prometheus for tests, and its HTTP API."""

import json
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.conftest import missing_part
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy" / "prometheus" / "alerts.yml"


def binary(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        missing_part(name, "apt-get install prometheus")
    return path


class Prometheus:
    """Asks a running Prometheus."""

    def __init__(self, address: str) -> None:
        self._address = address

    def query(self, expression: str) -> list[Any]:
        """Return the series that an expression gives now."""
        return list(self.ask("query", query=expression)["result"])

    def ask(self, path: str, **parameters: str) -> Any:
        url = f"http://{self._address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=30) as response:
            answer = json.load(response)
        assert answer["status"] == "success", answer
        return answer["data"]

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self._address}/-/ready", timeout=30) as response:
                return bool(response.status == 200)
        except OSError:
            return False


@contextmanager
def running_prometheus(folder: Path, targets: Mapping[str, str], *, token: str | None = None) -> Iterator[Prometheus]:
    """Scrape the targets twice a second, with the rules of the project, and with the token that they ask for."""
    job = {"job_name": "xclip-stream", "static_configs": [{"targets": list(targets.values())}]}
    if token is not None:
        job["authorization"] = {"credentials": token}
    every = {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"}
    (folder / "prometheus.yml").write_text(
        json.dumps({"global": every, "rule_files": [str(RULES)], "scrape_configs": [job]})
    )
    address = f"127.0.0.1:{free_port()}"
    command = [binary("prometheus"), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb"]
    with (
        (folder / "prometheus.log").open("w") as log,
        subprocess.Popen([*command, f"--web.listen-address={address}"], stderr=log, stdout=log) as process,
    ):
        try:
            yield Prometheus(address)
        finally:
            process.kill()
