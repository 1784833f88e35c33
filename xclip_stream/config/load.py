"""From a YAML text to a configuration, or to all that is wrong with it."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from xclip_stream.config.checks import Parts, Reference, find_problems
from xclip_stream.config.document import Document
from xclip_stream.config.parts import RuleConfig, SourceConfig
from xclip_stream.config.problems import Place, Problem, dotted
from xclip_stream.config.sentences import problems_of
from xclip_stream.config.whole import BETWEEN_SECTIONS, Config
from xclip_stream.errors import ConfigError

MAX_FILE_BYTES = 16 * 1024 * 1024

T = TypeVar("T")

_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_SOURCE = TypeAdapter(SourceConfig)
_RULE = TypeAdapter(RuleConfig)


def load_config(path: str | Path) -> Config:
    """Read a configuration file. `${…}` is replaced from the environment and from secret files.

    Raises:
        ConfigError: carries every problem, one a line: `file:line:column: key: what is wrong`.
    """
    path = Path(path)
    return read_config(config_text(path), name=str(path), folder=path.resolve().parent)


def read_config(
    text: str, *, name: str, folder: Path, environ: Mapping[str, str] = os.environ, blind: bool = False
) -> Config:
    """Read a configuration from a YAML text; `name` stands in the errors where the file would.

    With `blind`, `${…}` is replaced by its default or by nothing that means anything, and nothing is looked up.

    Raises:
        ConfigError: carries every problem, one a line.
    """
    document = Document(text, folder=folder, environ=environ, blind=blind)
    try:
        values = document.read()
    except ConfigError as error:
        raise ConfigError(f"{name}:{error}") from None
    problems = list(document.problems)
    if not isinstance(values, dict):
        problems.append(Problem((), "must be a mapping with sources and rules"))
    else:
        config = _validated(values, folder, problems)
        if config is not None and not problems:
            return config
    raise ConfigError("\n".join(_lines(problems, document, name)))


def config_text(path: Path) -> str:
    """Return the YAML of a configuration file.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except IsADirectoryError:
        raise ConfigError(f"{path}: is a folder, not a configuration file") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    if len(content) > MAX_FILE_BYTES:
        raise ConfigError(f"{path}: is too big for a configuration")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not a text in UTF-8") from None


def _validated(values: dict[str, Any], folder: Path, problems: list[Problem]) -> Config | None:
    """Return the configuration, or add to `problems` what it would need to be one."""
    try:
        return Config.model_validate(values, context={"folder": folder})
    except ValidationError as error:
        details = error.errors(include_url=False)
        if details[0]["type"] == BETWEEN_SECTIONS:
            problems += details[0]["ctx"]["problems"]
        else:
            problems += problems_of(error, Config)
            problems += find_problems(_sound_parts(values, folder))
    return None


def _sound_parts(values: Mapping[str, Any], folder: Path) -> Parts:
    """Return the entries that are right in themselves, so that the others do not hide what is wrong between them."""
    entries = {name: _listed(values.get(name)) for name in ("sources", "rules", "sinks")}
    return Parts(
        sources=dict(_sound(_SOURCE, entries["sources"], folder)),
        rules=dict(_sound(_RULE, entries["rules"], folder)),
        ids={name: [_id_of(entry) for entry in found] for name, found in entries.items()},
        references=list(_references(entries["rules"])),
    )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _sound(section: TypeAdapter[T], entries: Iterable[Any], folder: Path) -> Iterator[tuple[int, T]]:
    for index, entry in enumerate(entries):
        try:
            yield index, section.validate_python(entry, context={"folder": folder})
        except ValidationError:
            continue


def _references(rules: Iterable[Any]) -> Iterator[Reference]:
    for index, rule in enumerate(rules):
        for section in ("sources", "sinks") if isinstance(rule, dict) else ():
            for number, name in enumerate(_listed(rule.get(section))):
                if isinstance(name, str):
                    yield Reference(("rules", index, section, number), section, name)


def _id_of(entry: Any) -> str | None:
    name = entry.get("id") if isinstance(entry, dict) else None
    return name if isinstance(name, str) else None


def _lines(problems: Iterable[Problem], document: Document, name: str) -> Iterator[str]:
    """Yield the problems as lines, in the order of the file, each place once."""
    unreadable = {problem.location for problem in document.problems}
    placed: dict[tuple[Place, str], str] = {}
    for problem in problems:
        is_echo = problem not in document.problems and problem.location in unreadable
        place = problem.place or document.place(problem.location, of_key=problem.of_key)
        if not is_echo:
            key = dotted(problem.location)
            placed.setdefault((place, key), f"{key}: {_discreet(problem.text, document)}" if key else problem.text)
    for (place, _), line in sorted(placed.items()):
        yield f"{name}:{place.line}:{place.column}: {line}"


def _discreet(text: str, document: Document) -> str:
    """Mask what a text quotes of a value that came from `${…}`: it may be a secret."""

    def masked(match: re.Match[str]) -> str:
        quoted = match.group()[1:-1]
        leaks = any(quoted in value and quoted not in written for written, value in document.replaced)
        return "'***'" if quoted and leaks else match.group()

    return _QUOTED.sub(masked, text)
