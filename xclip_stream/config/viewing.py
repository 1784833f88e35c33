"""The sections of the dashboard, and of the scores that it shows."""

import ipaddress
from typing import Annotated, Self

from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator

from xclip_stream.config.parts import Closed

MIN_TOKEN = 16
_LOCAL_NAMES = {"localhost", "127.0.0.1", "::1"}


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of `HOST:PORT`; an IPv6 host stands in brackets.

    Raises:
        ValueError: it is not written so.
    """
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not (port.isascii() and port.isdecimal()) or int(port) > 65535:
        raise ValueError("must be HOST:PORT, like 127.0.0.1:8080")
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches what listens there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in _LOCAL_NAMES


def _address(text: str) -> str:
    split_address(text)
    return text


class WebConfig(Closed):
    """Where the dashboard is served, and to whom."""

    listen: Annotated[str, AfterValidator(_address)] = "127.0.0.1:8080"
    token: SecretStr | None = None
    hosts: tuple[str, ...] = Field(default=(), max_length=100)
    """The names under which it is reached, beside IP addresses and this machine's own."""
    insecure: bool = False

    @field_validator("token")
    @classmethod
    def _check_token(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None and len(token.get_secret_value()) < MIN_TOKEN:
            raise ValueError(f"is too short: it needs at least {MIN_TOKEN} characters")
        return token

    @field_validator("hosts")
    @classmethod
    def _lower(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(host.lower() for host in hosts)

    @model_validator(mode="after")
    def _check_reach(self) -> Self:
        refusal = self.refusal(self.listen)
        if refusal:
            raise ValueError(refusal)
        return self

    def refusal(self, address: str) -> str | None:
        """Return why the dashboard may not listen there; None where it may."""
        host, _ = split_address(address)
        if is_loopback(host) or self.token is not None or self.insecure:
            return None
        return f"{address} can be reached from other machines: set web.token, or web.insecure to serve it to anybody"


class HistoryConfig(Closed):
    """How long the scores that the rules have judged are kept, for timelines and for trying other rules on them."""

    hours: float = Field(default=6.0, ge=0, le=24 * 31)
    windows: int = Field(default=100_000, ge=1, le=10_000_000)
    """Of one source, at most."""
