"""An ingest worker as a process, for one source named yard."""

import os
import subprocess
import sys
from pathlib import Path

import redis

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """
model: {{checkpoint: {checkpoint}}}
queue: {{file_windows: 1000, max_bytes: 64MiB}}
evidence: {evidence}
sources:
  - {{id: yard, {source}}}
rules:
  - {{id: climbing, prompts: [a person climbing over a fence], background: [an empty yard]}}
"""


class IngestProcess:
    """The worker; its log is what it said."""

    def __init__(self, folder: Path, checkpoint: Path, redis_url: str, *, source: str, evidence: str) -> None:
        config = folder / "site.yaml"
        config.write_text(CONFIG.format(checkpoint=checkpoint, source=source, evidence=evidence))
        self._log_file = folder / "log"
        self._redis_url = redis_url
        with self._log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "workers.ingest", "--config", str(config)],
                cwd=ROOT,
                env={**os.environ, "XCLIP_STREAM_REDIS_URL": redis_url, "XCLIP_STREAM_LOG": "json"},
                stdout=log,
                stderr=log,
            )

    def redis(self) -> redis.Redis:
        return redis.Redis.from_url(self._redis_url)

    def said(self) -> str:
        return self._log_file.read_text()

    def reader(self) -> int:
        """Return the process that reads the source; 0 while there is none."""
        readers = [reader for server in _children(self.process.pid) for reader in _children(server)]
        return readers[0] if readers else 0

    def end(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []
