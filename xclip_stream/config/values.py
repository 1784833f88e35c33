"""The kinds of values that a configuration has, each with the sentence for one that is wrong.

The messages never quote a URL or a secret.
"""

import base64
import binascii
import re
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, SecretStr, ValidationInfo

from xclip_stream.config.suggestions import did_you_mean
from xclip_stream.device_url import DEVICE_SCHEME, DeviceUrl, is_device_path
from xclip_stream.network_url import CAMERA_SCHEMES, check_address, lacks_scheme
from xclip_stream.paths import without_tilde
from xclip_stream.redaction import MASK, redact_url
from xclip_stream.redis_url import RedisUrl

WEBHOOK_SCHEMES = ("http", "https")
MQTT_SCHEMES = ("mqtt", "mqtts")
NATS_SCHEMES = ("nats", "tls")
SMTP_SCHEMES = ("smtp", "smtp+starttls", "smtps")

Url = TypeVar("Url", bound=SecretStr)

_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")
_HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+):\d{1,5}")
_MAIL_ADDRESS = re.compile(r"[^\s@<>,;:\"()]+@[^\s@<>,;:\"()]+")


class TokenUrl(SecretStr):
    """A URL whose path may be a token, as that of a webhook mostly is."""


class SecretUrl(TokenUrl):
    """A URL that is secret as a whole: its path is a token, and so may its host be."""


def shown_url(url: SecretStr) -> str:
    """Return as much of a URL as may be shown; read as a URL of its kind again, it shows the same."""
    text = redact_url(url.get_secret_value())
    scheme, _, rest = text.partition("://")
    host, _, path = rest.partition("/")
    match url:
        case SecretUrl():
            return f"{scheme}://{MASK}"
        case TokenUrl() if path:
            return f"{scheme}://{host}/{MASK}"
    return text


def anchored(text: str, info: ValidationInfo) -> Path:
    """Return the path as seen from the folder of the configuration file, which has no links in its own path."""
    folder, path = Path((info.context or {}).get("folder", Path())), without_tilde(text)
    while folder.is_absolute() and path.parts[:1] == ("..",):
        folder, path = folder.parent, Path(*path.parts[1:])
    return folder / path


def _anchored_path(path: Path, info: ValidationInfo) -> Path:
    return anchored(str(path), info)


def _checked_url(text: str, schemes: tuple[str, ...]) -> None:
    """Refuse a URL of another scheme or without a host. The messages never quote it: it may hold a password."""
    scheme, separator, _ = text.partition("://")
    if not separator:
        raise ValueError(f"must be a URL that starts with {_either(schemes)}")
    if scheme.lower() not in schemes:
        hint = did_you_mean(scheme, schemes) if scheme.isalnum() else ""
        raise ValueError(f"must start with {_either(schemes)}{hint}")
    check_address(text)


def _either(schemes: tuple[str, ...]) -> str:
    *first, last = [f"{scheme}://" for scheme in schemes]
    return f"{', '.join(first)} or {last}" if first else last


def _source_url(url: SecretStr, info: ValidationInfo) -> SecretStr:
    text = url.get_secret_value().strip()
    if is_device_path(text):
        return SecretStr(f"{DEVICE_SCHEME}://{text}")
    if text.startswith(f"{DEVICE_SCHEME}:"):
        DeviceUrl.parse(text)
        return SecretStr(text)
    if "://" in text:
        _checked_url(text, CAMERA_SCHEMES)
        return SecretStr(text)
    if not text:
        raise ValueError("is empty: give a file, or a URL like rtsp://camera/stream")
    if lacks_scheme(text):
        raise ValueError(f"looks like an address without its scheme: begin it with {_either(CAMERA_SCHEMES)}")
    return SecretStr(str(anchored(text, info)))


def _redis_url(url: SecretStr) -> SecretStr:
    RedisUrl.parse(url.get_secret_value())
    return url


def _url_of(schemes: tuple[str, ...]) -> AfterValidator:
    """Return the check that a URL has a host and one of these schemes."""

    def check(url: Url) -> Url:
        _checked_url(url.get_secret_value(), schemes)
        return url

    return AfterValidator(check)


def _service_url(url: SecretUrl) -> SecretUrl:
    """Refuse what is no URL; which schemes there are, its library knows."""
    scheme, separator, rest = url.get_secret_value().partition("://")
    if not separator or not scheme or not rest or any(mark.isspace() for mark in rest):
        raise ValueError("must be a URL of apprise, like ntfy://host/topic")
    return url


def _mail_address(text: str) -> str:
    if not _MAIL_ADDRESS.fullmatch(text):
        raise ValueError("must be an address like alarm@example.org")
    return text


def _host_and_port(text: str) -> str:
    if not _HOST_AND_PORT.fullmatch(text):
        raise ValueError("must be host:port")
    return text


def _webhook_secret(secret: SecretStr) -> SecretStr:
    """The forms that Standard Webhooks knows: `whsec_` and base64; any other text is taken as it is."""
    text = secret.get_secret_value()
    if not text:
        raise ValueError("is empty: leave the key out to send unsigned")
    if text.startswith("whsec_"):
        try:
            key = base64.b64decode(text.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            key = b""
        if not key:
            raise ValueError("must have base64 after whsec_")
    return secret


def _box(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = box
    if not all(0.0 <= value <= 1.0 for value in box):
        raise ValueError("must be fractions of the frame, 0 to 1, written [x0, y0, x1, y1]; pixels are not taken")
    if x0 >= x1 or y0 >= y1:
        raise ValueError("is empty: write [x0, y0, x1, y1] with x0 less than x1 and y0 less than y1")
    return box


def _rfc3339(value: Any) -> Any:
    if not isinstance(value, str | datetime):
        raise ValueError("must be a time with its zone, like '2024-05-01T08:00:00Z'")
    return value


def _in_the_calendar(value: datetime) -> datetime:
    if not 1000 <= value.year < 9000:
        raise ValueError("must be a time of the years 1000 to 8999")
    return value


def one_line(text: str) -> str:
    """A prompt with its blanks made single."""
    words = " ".join(text.split())
    if not words:
        raise ValueError("is an empty prompt")
    return words


def distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    twice = {value for value, count in Counter(values).items() if count > 1}
    if twice:
        raise ValueError(f"has {', '.join(map(repr, sorted(twice)))} more than once")
    return values


def _distinct_prompts(prompts: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse what the model reads as the same prompt: it would count twice."""
    first: dict[str, str] = {}
    for prompt in prompts:
        if first.setdefault(prompt.casefold(), prompt) != prompt:
            raise ValueError(f"has {prompt!r} more than once: the model does not tell capitals from small letters")
    return distinct(prompts)


def _device(text: str) -> str:
    if not _DEVICE.fullmatch(text):
        raise ValueError("must be auto, cpu, cuda, cuda:<number> or mps")
    return text


Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Ids = Annotated[tuple[Id, ...], AfterValidator(distinct)]
Prompt = Annotated[str, Field(max_length=1000), AfterValidator(one_line)]
Prompts = Annotated[tuple[Prompt, ...], Field(min_length=1, max_length=1000), AfterValidator(_distinct_prompts)]
Box = Annotated[tuple[float, float, float, float], AfterValidator(_box)]
AnchoredPath = Annotated[Path, AfterValidator(_anchored_path)]
SourceUrl = Annotated[SecretStr, AfterValidator(_source_url)]
WebhookUrl = Annotated[TokenUrl, _url_of(WEBHOOK_SCHEMES)]
MqttUrl = Annotated[SecretStr, _url_of(MQTT_SCHEMES)]
NatsUrl = Annotated[SecretStr, _url_of(NATS_SCHEMES)]
SmtpUrl = Annotated[SecretStr, _url_of(SMTP_SCHEMES)]
ServiceUrl = Annotated[SecretUrl, AfterValidator(_service_url)]
MailAddress = Annotated[str, AfterValidator(_mail_address)]
HostAndPort = Annotated[str, AfterValidator(_host_and_port)]
WebhookSecret = Annotated[SecretStr, AfterValidator(_webhook_secret)]
Moment = Annotated[AwareDatetime, BeforeValidator(_rfc3339), AfterValidator(_in_the_calendar)]
Device = Annotated[str, AfterValidator(_device)]
RedisAddress = Annotated[SecretStr, AfterValidator(_redis_url)]
