"""The reference of the configuration, made from its sections and from the comments of configs/example.yaml. Pure."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from xclip_stream.config.whole import Config

_COMMENT = re.compile(r"(?:^|\s)#\s(.*)$")
_TOP = (
    "version", "model", "redis", "queue", "ingest", "history", "web", "sources", "rules", "sinks",
)  # fmt: skip
"""The order in which a user meets the sections; those that are not named come after them."""


def configuration_reference(example: str) -> str:
    """Return docs/configuration.md.

    Args:
        example: the text of configs/example.yaml, whose comments say what each key means.
    """
    schema = Config.model_json_schema(by_alias=True)
    meanings = comments_of(example)
    parts = [_HEAD]
    for name in sorted(schema["properties"], key=lambda key: _TOP.index(key) if key in _TOP else len(_TOP)):
        parts += _top_level(name, schema, meanings)
    return "\n".join(parts) + "\n"


_HEAD = """\
# Configuration reference

<!-- Made by `make schemas` from the code and from configs/example.yaml. Do not edit. -->

Every key, what it may be, and what it is when it is left out. `xclip-stream check site.yaml` tells every mistake with
its line; an unknown key is one. Paths begin at the folder of the file. In any value `${NAME}` is replaced by an
environment variable, `${NAME:-default}` by `default` where that is not set or empty, and `${file:/path}` by the content
of a file; `$${` is a plain `${`. `configs/example.yaml` has all of it in one commented file.
"""


def comments_of(example: str) -> Mapping[tuple[str, ...], str]:
    """Return what the comments say of each key, by its path; the entries of a list have no number.

    A sink has its type in the place of the number.
    """
    lines = example.splitlines()
    found: dict[tuple[str, ...], str] = {}
    for path, mark in _keys(yaml.compose(example), ()):
        text = _comment_at(lines, mark.line, mark.column)
        if text:
            found.setdefault(path, text)
    return found


def _keys(node: yaml.Node | None, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], yaml.Mark]]:
    """Yield the keys that begin a line, each with its place."""
    if isinstance(node, yaml.MappingNode) and not node.flow_style:
        kind = next((value.value for key, value in node.value if key.value == "type"), None)
        here = (*path, kind) if path == ("sinks",) and kind else path
        for key, value in node.value:
            yield (*here, key.value), key.start_mark
            yield from _keys(value, (*here, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _keys(item, path)


def _comment_at(lines: list[str], number: int, column: int) -> str:
    """Return the comment beside a key with what goes on below it; else the one that stands above it."""
    beside = _COMMENT.search(lines[number])
    if beside:
        return " ".join([beside[1], *_comments(lines[number + 1 :], columns=range(column + 8, 200))])
    return " ".join(reversed([*_comments(lines[:number][::-1], columns=range(max(1, column), column + 1))]))


def _comments(lines: list[str], *, columns: range) -> Iterator[str]:
    """Yield the first lines as long as they are nothing but comments that begin in one of these columns."""
    for line in lines:
        text = line.lstrip()
        if not text.startswith("# ") or len(line) - len(text) not in columns:
            return
        yield text[2:]


def _top_level(name: str, schema: Mapping[str, Any], meanings: Mapping[tuple[str, ...], str]) -> Iterator[str]:
    value = schema["properties"][name]
    sections = [schema["$defs"][key] for key in _references(value)]
    yield f"\n## `{name}`\n"
    if not sections:
        yield f"{_type(value).capitalize()} `{value['default']}`: {meanings.get((name,), '')}.\n"
    shared = _shared_keys(sections)
    if shared:
        yield "Every sink has these keys:\n"
        yield _TABLE
        kept = {**sections[0], "properties": {key: sections[0]["properties"][key] for key in shared}}
        yield from _rows(kept, (name,), "", schema, _of_any(shared, name, meanings))
    for section in sections:
        kind = section["properties"].get("type", {}).get("const")
        if kind:
            yield f"\n### `type: {kind}`\n"
        # What a docstring says of the code is left out.
        yield f"{section.get('description', '').partition(' `build`')[0]}\n"
        yield _TABLE
        own = {
            key: value
            for key, value in section["properties"].items()
            if key not in shared and value.get("const") is None
        }
        path = (name, kind) if kind else (name,)
        yield from _rows({**section, "properties": own}, path, "", schema, meanings)


_TABLE = "| key | what | default | meaning |\n|---|---|---|---|"


def _shared_keys(sections: list[Mapping[str, Any]]) -> list[str]:
    """Return the keys that all of several kinds of a section have, but what tells the kinds apart."""
    if len(sections) < 2:
        return []
    return [
        key
        for key in sections[0]["properties"]
        if key != "type" and all(key in each["properties"] for each in sections)
    ]


def _of_any(keys: list[str], name: str, meanings: Mapping[tuple[str, ...], str]) -> Mapping[tuple[str, ...], str]:
    """Return what is said of keys beside any kind of a section."""
    said = [(path, text) for path, text in meanings.items() if path[0] == name]
    found: dict[tuple[str, ...], str] = {(name, path[-1]): text for path, text in reversed(said) if path[-1] in keys}
    return {**found, (name, "id"): meanings.get(("sources", "id"), "")}


def _rows(
    section: Mapping[str, Any],
    path: tuple[str, ...],
    prefix: str,
    schema: Mapping[str, Any],
    meanings: Mapping[tuple[str, ...], str],
) -> Iterator[str]:
    required = section.get("required", ())
    for key, value in section["properties"].items():
        inner = [schema["$defs"][name] for name in _references(value)]
        default = "required" if key in required else _default(value, inner)
        meaning = _cell(meanings.get((*path, key), ""))
        yield f"| `{prefix}{key}` | {'section' if inner else _type(value)} | {default} | {meaning} |"
        for nested in inner:
            yield from _rows(nested, (*path, key), f"{prefix}{key}.", schema, meanings)


def _references(value: Mapping[str, Any]) -> list[str]:
    """Return the names of the sections that a value may be."""
    choices = [value, value.get("items", {}), *value.get("anyOf", ()), *value.get("items", {}).get("oneOf", ())]
    names = [str(choice["$ref"]).rpartition("/")[2] for choice in choices if "$ref" in choice]
    return [name for name in names if name.endswith("Config")]


def _type(value: Mapping[str, Any]) -> str:
    if "anyOf" in value:
        return " or ".join(dict.fromkeys(_type(choice) for choice in value["anyOf"] if choice.get("type") != "null"))
    if "enum" in value:
        return ", ".join(f"`{choice}`" for choice in value["enum"])
    kinds = {"boolean": "`true` or `false`", "object": "mapping", "integer": "whole number", "number": "number"}
    if value.get("type") == "array":
        return f"list of {len(value['prefixItems'])} numbers" if "prefixItems" in value else _list(value["items"])
    return kinds.get(str(value.get("type")), _text(value)) + _bounds(value)


def _list(items: Mapping[str, Any]) -> str:
    kind = _type(items)
    return f"list of {kind}s" if kind == "text" else f"list of: {kind}"


def _text(value: Mapping[str, Any]) -> str:
    return {"date-time": "time with its zone", "path": "path"}.get(str(value.get("format")), "text")


def _bounds(value: Mapping[str, Any]) -> str:
    signs = {"minimum": "≥ ", "exclusiveMinimum": "> ", "maximum": "≤ ", "exclusiveMaximum": "< "}
    return "".join(f", {sign}{value[name]:.15g}" for name, sign in signs.items() if name in value)


def _default(value: Mapping[str, Any], inner: list[Any]) -> str:
    default = value.get("default")
    if inner or default is None or default in ([], {}):
        return "–"
    if default == [""]:
        return "`[frame]`"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
