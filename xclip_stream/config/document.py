"""Reads a YAML text into plain values and remembers where each stood, so that every error can name line and column.

Plain values follow the YAML 1.2 core schema: `20:00` is text and not a number in base sixty, `on` and `no` are text
(which a true-or-false key still understands).
"""

import os
import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from xclip_stream.config.problems import Location, Place, Problem
from xclip_stream.errors import ConfigError

MAX_NODES = 200_000
"""Aliases can make a small file huge; no honest configuration has this many values."""
MAX_DEPTH = 50
"""The parser gives up at a few hundred levels, and what comes after it sooner."""
MAX_DIGITS = 40
MAX_SECRET_BYTES = 64 * 1024
CREDENTIALS_VARIABLE = "CREDENTIALS_DIRECTORY"
"""Where systemd tells a service the folder of its credentials."""

_HERE = Path()
HIDDEN = "***--not-shown--***"
"""What stands for a secret; long enough to be one, so that a text with it is a configuration too."""

_REFERENCE = re.compile(r"\$\$\{|\$\{([^{}]*)\}")
_UNCLOSED = "has a ${ without its }, or one inside another; write $${ for a plain ${"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class _Loader(yaml.SafeLoader):
    """The safe loader with the types of YAML 1.2."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own shape


_PLAIN_TYPES = {
    "null": (r"(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    "bool": (r"(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    "int": (r"(?:[-+]?\d+|0x[0-9a-fA-F]+)$", list("-+0123456789")),
    "float": (
        r"(?:[-+]?(?:\.\d+|\d+(?:\.\d*)?)(?:[eE][-+]?\d+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
        list("-+.0123456789"),
    ),
    "merge": (r"<<$", ["<"]),
}
for _type, (_pattern, _first) in _PLAIN_TYPES.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_type}", re.compile(_pattern), _first)


class Document:
    """The values of a YAML text, the place of each, and the problems of reading them.

    `${NAME}`, `${NAME:-default}`, `${file:/path}` and `${credential:NAME}` in text values are replaced; `$${` stands
    for a plain `${`.

    Args:
        text: the YAML.
        folder: relative `${file:…}` paths start here.
        environ: where `${NAME}` is looked up.
        blind: puts `HIDDEN` for every reference and looks nothing up: for a text from somebody who must not learn what
            this machine knows.
    """

    def __init__(
        self, text: str, *, folder: Path, environ: Mapping[str, str] = os.environ, blind: bool = False
    ) -> None:
        self._text = text
        self._folder = folder
        self._environ = environ
        self._blind = blind
        self._values: dict[Location, Place] = {}
        self._keys: dict[Location, Place] = {}
        self._open: set[int] = set()
        self._count = 0
        self.problems: list[Problem] = []
        self.replaced: list[tuple[str, str]] = []
        """Each text in which something was replaced: as it was written, and as it is now."""

    def read(self) -> Any:
        """Parse the text and return its plain values.

        Raises:
            ConfigError: the text is not YAML; without the name of the file, `line:column: what is wrong`.
        """
        try:
            node = yaml.compose(self._text, Loader=_Loader)
            if node is not None:
                return self._value(node, ())
        except yaml.MarkedYAMLError as error:
            raise ConfigError(_syntax(error)) from None
        except yaml.reader.ReaderError as error:
            before = self._text[: error.position].splitlines() or [""]
            raise ConfigError(f"{len(before)}:{len(before[-1]) + 1}: is not YAML: has a control character") from None
        except RecursionError:
            raise ConfigError("1:1: is nested too deeply") from None
        raise ConfigError("1:1: is empty: it needs sources and rules")

    def place(self, location: Location, *, of_key: bool = False) -> Place:
        """Return where a value, or its key, stands; of what is not there, where the nearest thing around it does."""
        places = self._keys | {(): Place(1, 1)} if of_key else self._values
        while location not in places:
            location, places = location[:-1], self._values
        return places[location]

    def _value(self, node: yaml.Node, at: Location) -> Any:
        self._values[at] = _place(node)
        if len(at) > MAX_DEPTH:
            raise ConfigError(f"{node.start_mark.line + 1}:{node.start_mark.column + 1}: is nested too deeply")
        self._enter(node)
        value = self._read(node, at)
        self._open.discard(id(node))
        return value

    def _enter(self, node: yaml.Node) -> None:
        self._count += 1
        if id(node) in self._open or self._count > MAX_NODES:
            raise ConfigError(f"{node.start_mark.line + 1}:{node.start_mark.column + 1}: aliases that never end")
        self._open.add(id(node))

    def _read(self, node: yaml.Node, at: Location) -> Any:
        if isinstance(node, yaml.MappingNode):
            return dict(self._pairs(node, at))
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, (*at, index)) for index, item in enumerate(node.value)]
        return self._scalar(node, at)

    def _pairs(self, node: yaml.MappingNode, at: Location) -> Iterator[tuple[str, Any]]:
        """Yield the pairs of a mapping: those merged with `<<` first, so that its own win."""
        own = [(key, value) for key, value in node.value if key.tag != "tag:yaml.org,2002:merge"]
        for merged in _merged(node):
            if isinstance(merged, yaml.MappingNode):
                self._enter(merged)
                yield from self._pairs(merged, at)
                self._open.discard(id(merged))
            else:
                self._complain((*at, "<<"), merged, "must be a mapping, or a list of mappings")
        seen: set[str] = set()
        for key, value in own:
            name = str(key.value) if isinstance(key, yaml.ScalarNode) else ""
            here = (*at, name)
            if not name:
                self._complain(here, key, "a key must be text")
            elif name in seen:
                self._complain(here, key, "is there twice")
            else:
                seen.add(name)
                self._keys[here] = _place(key)
                yield name, self._value(value, here)

    def _complain(self, at: Location, node: yaml.Node, text: str) -> None:
        self.problems.append(Problem(at, text, place=_place(node)))

    def _scalar(self, node: yaml.Node, at: Location) -> Any:
        kind = node.tag.rpartition(":")[2]
        fits = kind not in _PLAIN_TYPES or re.match(_PLAIN_TYPES[kind][0], node.value)
        match kind if fits else None:
            case "null":
                return None
            case "bool":
                return node.value.lower() == "true"
            case "int" if len(node.value) <= MAX_DIGITS:
                return int(node.value, 16) if node.value.startswith("0x") else int(node.value)
            case "float":
                return float(re.sub(r"\.(?=inf|nan)", "", node.value.lower()))
            case "str" | "int":
                return self._expanded(node.value, at)
        what = f"the tag {node.tag} is not known here" if fits else f"is not what its tag !!{kind} says"
        self.problems.append(Problem(at, what))
        return None

    def _expanded(self, text: str, at: Location) -> str:
        if "${" not in text:
            return text
        if _is_unclosed(text):
            self.problems.append(Problem(at, _UNCLOSED))
        value = _REFERENCE.sub(partial(self._replacement, at), text)
        self.replaced.append((text, value))
        return value

    def _replacement(self, at: Location, match: re.Match[str]) -> str:
        reference = match[1]
        if reference is None:
            return "${"
        if self._blind:
            return reference.partition(":-")[2] or HIDDEN
        try:
            return _look_up(reference, self._environ, self._folder)
        except LookupError as error:
            self.problems.append(Problem(at, str(error.args[0])))
            return match[0]


def expand(text: str, *, folder: Path = _HERE, environ: Mapping[str, str] = os.environ) -> str:
    """Replace the references of one text that stands in no file, as they are replaced in a configuration.

    Raises:
        ConfigError: a reference stands for nothing.
    """

    def replacement(match: re.Match[str]) -> str:
        return "${" if match[1] is None else _look_up(match[1], environ, folder)

    if _is_unclosed(text):
        raise ConfigError(_UNCLOSED)
    try:
        return _REFERENCE.sub(replacement, text)
    except LookupError as error:
        raise ConfigError(str(error.args[0])) from None


def literal(text: str) -> str:
    """Return what `expand` turns into `text`, whatever stands in it."""
    return text.replace("${", "$${")


def referenced_files(text: str, *, folder: Path) -> tuple[Path, ...]:
    """Return the files that `${file:…}` names anywhere in a YAML text, in comments too."""
    names = dict.fromkeys(reference for reference in _REFERENCE.findall(text) if reference.startswith("file:"))
    return tuple(_file_of(name, folder) for name in names)


def _is_unclosed(text: str) -> bool:
    """Tell whether a reference was begun and not ended: it would be taken as it stands, a password for one."""
    return "${" in _REFERENCE.sub("", text)


def _look_up(reference: str, environ: Mapping[str, str], folder: Path) -> str:
    """Return what a reference stands for; LookupError says why there is nothing."""
    if reference.startswith("file:"):
        return _secret_file(_file_of(reference, folder))
    if reference.startswith("credential:"):
        return _credential(reference.removeprefix("credential:"), environ)
    name, has_default, default = reference.partition(":-")
    if not _NAME.fullmatch(name):
        raise LookupError(
            f"${{{reference}}} is not understood: write ${{NAME}}, ${{NAME:-default}}, "
            "${{file:/path}} or ${{credential:NAME}}"
        )
    value = environ.get(name)
    if has_default:
        return value or default
    if value is None:
        raise LookupError(f"the environment variable {name} is not set; set it, or write ${{{name}:-default}}")
    return value


def _file_of(reference: str, folder: Path) -> Path:
    return Path(folder, reference.removeprefix("file:"))


def _credential(name: str, environ: Mapping[str, str]) -> str:
    """Return what systemd has put at the service's disposal under a name: `LoadCredential=` in its unit."""
    folder = environ.get(CREDENTIALS_VARIABLE)
    if not folder:
        raise LookupError(
            f"${{credential:{name}}} is for services of systemd: {CREDENTIALS_VARIABLE} is not set; "
            "set it to the folder of the secrets"
        )
    return _secret_file(Path(folder, name))


def _secret_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_SECRET_BYTES + 1)
        if len(content) > MAX_SECRET_BYTES:
            raise LookupError(f"{path} is too big for a secret (over {MAX_SECRET_BYTES} bytes)")
        return content.decode().rstrip("\r\n")
    except OSError as error:
        raise LookupError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise LookupError(f"{path} is not UTF-8 text") from None
    except ValueError:
        raise LookupError("the name of the file has a character that no name can have") from None


def _merged(node: yaml.MappingNode) -> list[yaml.Node]:
    """Return what `<<` brings in, the last to win last: YAML lets the first of a list win."""
    values = [value for key, value in node.value if key.tag == "tag:yaml.org,2002:merge"]
    listed = [item for value in values for item in (value.value if isinstance(value, yaml.SequenceNode) else [value])]
    return listed[::-1]


def _place(node: yaml.Node) -> Place:
    return Place(node.start_mark.line + 1, node.start_mark.column + 1)


def _syntax(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    place = f"{mark.line + 1}:{mark.column + 1}" if mark else "1:1"
    what = error.problem or error.context or "cannot be read"
    hint = " (indent with blanks, not tabs)" if "\\t" in what else ""
    return f"{place}: is not YAML: {what}{hint}"
