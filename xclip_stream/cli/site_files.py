"""The files that `init` writes: never over something without leave, and secrets for their owner alone."""

import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from xclip_stream.cli.questions import Questions
from xclip_stream.config import read_config
from xclip_stream.errors import ConfigError

_REFERENCE = re.compile(r"(?<!\$)\$\{([A-Za-z_]\w*)\}")


def may_write(file: Path, *, force: bool, questions: Questions) -> None:
    """Check that a configuration may be written there, before anything else is asked.

    Raises:
        ConfigError: it may not.
    """
    if file.is_dir() or not file.absolute().parent.is_dir():
        raise ConfigError(f"{file}: is a folder" if file.is_dir() else f"{file.parent}: there is no such folder")
    if file.exists() and not force and not questions.overwrite(str(file)):
        raise ConfigError(f"{file}: is there already; --force writes it anew")


def check_text(text: str, file: Path, variables: Mapping[str, str]) -> None:
    """Check a configuration before it is written.

    Raises:
        ConfigError: something is wrong in it, with line and column of what would have been written.
    """
    unset = dict.fromkeys(missing_variables(text, known=variables), "x")
    read_config(text, name=str(file), folder=file.absolute().parent, environ={**os.environ, **variables, **unset})


def missing_variables(text: str, *, known: Collection[str]) -> list[str]:
    """Return the environment variables that a configuration asks for, and that are neither set nor known."""
    return [name for name in dict.fromkeys(_REFERENCE.findall(text)) if name not in known and name not in os.environ]


def write_secrets(folder: Path, secrets: Mapping[str, str], *, anew: bool) -> None:
    """Write each secret into a file of its own in the folder `secrets`, `anew` also where another one is there.

    Raises:
        ConfigError: one of them is there already with another content, or cannot be written.
    """
    place = folder / "secrets"
    try:
        if secrets:
            place.mkdir(mode=0o700, exist_ok=True)
        for name, secret in secrets.items():
            if anew:
                (place / name).unlink(missing_ok=True)
            _write_secret(place / name, secret)
    except OSError as error:
        raise ConfigError(f"{place}: cannot be written: {error.strerror}") from None


def write_site(text: str, file: Path, *, private: bool) -> None:
    """Write a configuration; `private` for its owner alone.

    Raises:
        ConfigError: it cannot be written.
    """
    mode = 0o600 if private else 0o644
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as output:
            if private:
                file.chmod(mode)
            output.write(text)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be written: {error.strerror}") from None


def _write_secret(path: Path, secret: str) -> None:
    if path.exists():
        if path.read_text() != secret:
            raise ConfigError(f"{path}: is there already, with another secret; remove it, or take another --name")
        return
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(secret)
