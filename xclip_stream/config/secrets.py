"""What must never be shown of a configuration: the texts that a log is searched for."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from pydantic import BaseModel, SecretStr

from xclip_stream.config.values import SecretUrl

_AUTHORITY_END = re.compile(r"[/?#]")
_URL_PARTS = re.compile(r"[/?#&=@:]+")
_PASSWORD_OPTION = re.compile(r"[?&][a-z_]*password=([^&#]*)", re.IGNORECASE)


def secret_texts(section: BaseModel) -> tuple[str, ...]:
    """Return what is secret in a section and in all that it holds, the longest first."""
    found = {part for secret in _secrets(section) for part in _secret_parts(secret)}
    return tuple(sorted(found, key=len, reverse=True))


def _secrets(value: Any) -> Iterator[SecretStr]:
    match value:
        case SecretStr():
            yield value
        case BaseModel():
            for name in type(value).model_fields:
                yield from _secrets(getattr(value, name))
        case tuple() | list():
            for item in value:
                yield from _secrets(item)
        case dict():
            yield from _secrets(list(value.values()))


def _secret_parts(secret: SecretStr) -> Iterator[str]:
    """Yield what is secret in a text: of a URL the password, as it is written and as it is meant; of a path nothing.

    Of a URL that is secret as a whole it is the password and each part that is long enough to be a token.
    """
    text = secret.get_secret_value()
    if isinstance(secret, SecretUrl):
        parts = {part for part in _URL_PARTS.split(text.partition("://")[2]) if len(part) >= 8 and "." not in part}
        yield from {text, *parts, *map(unquote, parts)}
    if "://" not in text:
        yield from [] if text.startswith("/") else [text]
        return
    address = _AUTHORITY_END.split(text.partition("://")[2], maxsplit=1)[0].rpartition("@")[0]
    for password in (address.partition(":")[2], *_PASSWORD_OPTION.findall(text)):
        yield from {password, unquote(password)} - {""}
