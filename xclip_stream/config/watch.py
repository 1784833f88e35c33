"""Looks whether a configuration file has changed while a process runs on it."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from xclip_stream.config.document import referenced_files
from xclip_stream.config.load import config_text, read_config
from xclip_stream.config.whole import Config
from xclip_stream.errors import ConfigError
from xclip_stream.logs import LEVELS, hide_secrets

LOOK_EVERY_S = 0.5
FIXED_SECTIONS = ("model", "redis", "queue", "ingest", "history", "web")
"""What a process has built itself upon when it started."""

Stamp = tuple[int, int, int, int] | None
"""What tells one state of a file from another; None where there is no file."""


class ConfigWatch:
    """Gives each new configuration of a file once, and keeps the old one while the file is wrong.

    A change counts when two looks in a row have found the same, so that a file that is just being written is not taken
    for a shorter one. The files that the configuration names as `${file:…}` are looked at too. Looking costs a `stat`
    for each; the path is followed anew each time, since editors replace files and Kubernetes swaps links.

    What needs a restart is kept as it was, with a line in the log that says so; the rest is given.

    Args:
        path: the configuration file.
        config: what was read from it.
        check: raises ConfigError where a configuration is right in itself and still cannot be worked with.
        quiet: says at `debug` only what it finds; somebody else who looks at the same file tells.
        look_every_s: `poll` may be called as often as one likes; it looks so often.
        now: a clock that never goes back.
    """

    def __init__(
        self,
        path: Path,
        config: Config,
        *,
        check: Callable[[Config], None] = lambda _config: None,
        quiet: bool = False,
        look_every_s: float = LOOK_EVERY_S,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._config = config
        self._check = check
        self._quiet = quiet
        self._look_every_s = look_every_s
        self._now = now
        self._look_at = now()
        self._files: tuple[Path, ...] = ()
        self._seen: tuple[Stamp, ...] = ()
        self._read: tuple[Stamp, ...] = ()
        self._rejected: tuple[Stamp, str] | None = None
        self.complaint: str | None = None
        """Why the file is not what is in force, in a line; None where it is."""
        self._awaiting_restart: tuple[object, ...] = self._fixed(config)
        self._log = structlog.get_logger()

    @property
    def config(self) -> Config:
        """The configuration in force: the one that `poll` gave last, or the first."""
        return self._config

    @property
    def folder(self) -> Path:
        """Where the relative paths of the file begin."""
        return self._path.resolve().parent

    def poll(self) -> Config | None:
        """Return the new configuration when the file has changed and is right; None otherwise."""
        now = self._now()
        if now < self._look_at:
            return None
        self._look_at = now + self._look_every_s
        seen_before, self._seen = self._seen, tuple(_stamp(path) for path in (self._path, *self._files))
        if self._seen != seen_before or self._seen == self._read:
            return None
        self._read = self._seen
        return self._reload()

    def hurry(self) -> None:
        """Let the next `poll` look, however short ago the last look was: another process has found a change whole."""
        self._look_at = self._now()

    def _reload(self) -> Config | None:
        try:
            wanted = self._load()
            config = wanted.model_copy(update={name: getattr(self._config, name) for name in FIXED_SECTIONS})
            self._check(config)
        except ConfigError as error:
            self._reject(str(error))
            return None
        hide_secrets(wanted.secret_values())
        changed = [name for name in FIXED_SECTIONS if getattr(wanted, name) != getattr(self._config, name)]
        self.complaint = f"restart to take up what has changed in {', '.join(changed)}" if changed else None
        self._tell_restart_needed(wanted, changed)
        if config == self._config:
            return None
        self._tell("info", "configuration_changed", config_hash=config.config_hash, before=self._config.config_hash)
        self._config = config
        return config

    def _load(self) -> Config:
        text = config_text(self._path)
        self._files = referenced_files(text, folder=self.folder)
        return read_config(text, name=str(self._path), folder=self.folder)

    def _reject(self, problems: str) -> None:
        """Tell what is wrong, once for each state of the file: one that names other files is read again for these."""
        first, *others = problems.splitlines()
        more = f" (and {len(others)} more)" if others else ""
        self.complaint = f"the configuration file is wrong, and what it was before stays in force: {first}{more}"
        rejected = (self._seen[0], problems)
        if rejected != self._rejected:
            self._tell("warning", "configuration_rejected", problems=problems.splitlines())
        self._rejected = rejected

    def _tell_restart_needed(self, config: Config, changed: Sequence[str]) -> None:
        """Say once which sections are not what this process was started with."""
        wanted = self._fixed(config)
        if wanted == self._awaiting_restart:
            return
        self._awaiting_restart = wanted
        if changed:
            self._tell("warning", "restart_needed", sections=changed)

    def _tell(self, level: str, event: str, **facts: object) -> None:
        self._log.log(LEVELS["debug" if self._quiet else level], event, **facts)

    @staticmethod
    def _fixed(config: Config) -> tuple[object, ...]:
        return tuple(getattr(config, name) for name in FIXED_SECTIONS)


def _stamp(path: Path) -> Stamp:
    try:
        found = path.stat()
    except (OSError, ValueError):  # it is not there, or its name is none
        return None
    return found.st_mtime_ns, found.st_size, found.st_dev, found.st_ino
