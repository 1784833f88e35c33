"""A configuration as YAML again, with every default said and every secret hidden."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, SecretStr

from xclip_stream.config.document import HIDDEN
from xclip_stream.config.parts import FRAME, RuleConfig, SourceConfig
from xclip_stream.config.whole import Config
from xclip_stream.redaction import redact_url
from xclip_stream.types import WHOLE_FRAME

_USELESS = {
    True: frozenset({"start_time", "realtime"}),
    False: frozenset({"transport", "backlog_windows", "idle", "idle_refresh_s"}),
}
"""The keys that a live source, and a file, must not have."""


def effective_yaml(config: Config) -> str:
    """Return the whole configuration as YAML that may be shown; reading it gives the same `config_hash`."""
    return yaml.safe_dump(_plain(config), sort_keys=False, allow_unicode=True, width=110)


def _plain(value: Any) -> Any:
    match value:
        case SecretStr():
            plain: Any = _shown(value.get_secret_value())
        case BaseModel():
            plain = _section(value)
        case Mapping():
            plain = {key: _plain(item) for key, item in value.items()}
        case tuple() | list():
            plain = [_plain(item) for item in value]
        case datetime():
            plain = value.isoformat()
        case Path() | StrEnum():
            plain = str(value)
        case int() if not isinstance(value, bool):
            plain = int(value)  # a number of bytes has a type of its own
        case _:
            plain = value
    return plain


def _section(section: BaseModel) -> dict[str, Any]:
    fields = type(section).model_fields
    plain = {field.alias or name: _plain(getattr(section, name)) for name, field in fields.items()}
    if isinstance(section, RuleConfig):
        plain["regions"] = [FRAME if name == WHOLE_FRAME else name for name in section.regions]
        return {key: value for key, value in plain.items() if value is not None}  # where nothing is said, it is all
    useless = _USELESS[section.live] if isinstance(section, SourceConfig) else frozenset()
    return {key: value for key, value in plain.items() if key not in useless}


def _shown(text: str) -> str:
    if "://" in text:
        return redact_url(text)
    return text if text.startswith("/") else HIDDEN
