"""A configuration as YAML again, with every default said and every secret hidden."""

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_origin

import yaml
from pydantic import BaseModel, SecretStr

from xclip_stream.config.document import HIDDEN
from xclip_stream.config.parts import FRAME, RuleConfig, SourceConfig
from xclip_stream.config.values import shown_url
from xclip_stream.config.whole import Config
from xclip_stream.types import WHOLE_FRAME

Hide: TypeAlias = Callable[[str], str]
FIRST = ("version", "rules", "sources", "sinks")
"""The sections that people look for; the others follow, as they mostly have their defaults."""


def effective_yaml(config: Config, *, hide: Hide = str) -> str:
    """Return the whole configuration as YAML that may be shown; reading it gives the same `config_hash`.

    Args:
        hide: is given each text that is free, and returns it without what must not be shown. Keys and words that the
            configuration chooses from stay: a password may be one of them, and `***` none.
    """
    plain = _plain(config, hide)
    ordered = {name: plain[name] for name in FIRST} | plain
    return yaml.safe_dump(ordered, sort_keys=False, allow_unicode=True, width=110)


def _plain(value: Any, hide: Hide) -> Any:
    match value:
        case SecretStr():
            plain: Any = _shown(value)
        case BaseModel():
            plain = _section(value, hide)
        case Mapping():
            plain = {key: _plain(item, hide) for key, item in value.items()}
        case tuple() | list():
            plain = [_plain(item, hide) for item in value]
        case datetime():
            plain = value.isoformat()
        case StrEnum():
            plain = str(value)
        case Path() | str():
            plain = hide(str(value))
        case int() if not isinstance(value, bool):
            plain = int(value)  # a number of bytes has a type of its own
        case _:
            plain = value
    return plain


def _section(section: BaseModel, hide: Hide) -> dict[str, Any]:
    plain = {}
    for name, field in type(section).model_fields.items():
        is_chosen = get_origin(field.annotation) is Literal
        plain[field.alias or name] = _plain(getattr(section, name), str if is_chosen else hide)
    if isinstance(section, RuleConfig):
        plain["regions"] = [FRAME if name == WHOLE_FRAME else name for name in section.regions]
        return {key: value for key, value in plain.items() if value is not None}  # where nothing is said, it is all
    useless = section.useless_keys if isinstance(section, SourceConfig) else frozenset()
    return {key: value for key, value in plain.items() if key not in useless}


def _shown(secret: SecretStr) -> str:
    text = secret.get_secret_value()
    if "://" in text:
        return shown_url(secret)
    return text if text.startswith("/") else HIDDEN
