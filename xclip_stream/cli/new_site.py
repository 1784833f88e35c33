"""The cameras of a new configuration, and where their passwords go instead of into it. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from xclip_stream.cli.ids import slug, source_name
from xclip_stream.errors import ConfigError
from xclip_stream.redaction import redact_url

_REFERENCE = re.compile(r"\$\{[^{}]*\}")
_SECRET_IN_QUERY = re.compile(r"(?i)([?&](?:password|passwd|pass|pwd|token|secret|auth|key)=)([^&#]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCamera:
    """A source that is to be written. Its URLs are as the configuration has them: `${NAME}` may stand in them."""

    id: str
    url: str = field(repr=False)
    record_url: str | None = field(default=None, repr=False)
    """The stream that Frigate recorded, where that was another one."""
    transport: str = "tcp"
    remark: str = ""
    """What was found when it was tested."""


@dataclass(slots=True)
class Secrets:
    """What must not stand in the file, each under a name; the same secret has one name."""

    names: dict[str, str] = field(default_factory=dict, repr=False)
    """The name of each secret."""

    def name_for(self, secret: str, wanted: str) -> str:
        """Return the name of a secret, `wanted` or like it where that one is taken."""
        if secret not in self.names:
            taken = set(self.names.values())
            names = (wanted if number == 1 else f"{wanted}_{number}" for number in range(1, len(taken) + 2))
            self.names[secret] = next(name for name in names if name not in taken)
        return self.names[secret]


def named_cameras(urls: Sequence[str], names: Sequence[str]) -> list[NewCamera]:
    """Return a camera for each URL, each with an id of its own.

    Raises:
        ConfigError: nothing of a name can stand in an id.
    """
    cameras: list[NewCamera] = []
    for number, url in enumerate(urls):
        name = names[number] if number < len(names) else source_name(url)
        if not slug(name):
            raise ConfigError(f"{name}: is no name for a camera: it needs letters from a to z, or digits")
        cameras.append(NewCamera(id=free_id(slug(name), cameras), url=url))
    return cameras


def free_id(wanted: str, cameras: Sequence[NewCamera]) -> str:
    """Return an id that none of the cameras has."""
    taken = {camera.id for camera in cameras}
    ids = (wanted if number == 1 else f"{wanted[:60]}-{number}" for number in range(1, len(taken) + 2))
    return next(name for name in ids if name not in taken)


def without_secrets(camera: NewCamera, secrets: Secrets, *, from_file: bool) -> NewCamera:
    """Return the camera with references in the place of its secrets, which go to `secrets`.

    Args:
        from_file: refer to files of a folder `secrets`, instead of environment variables.
    """

    def hidden(url: str) -> str:
        return _hidden(url, variable_name(camera.id), secrets, from_file=from_file)

    return replace(
        camera, url=hidden(camera.url), record_url=None if camera.record_url is None else hidden(camera.record_url)
    )


def variable_name(source_id: str) -> str:
    """Return the beginning of the names of a camera's environment variables."""
    name = re.sub(r"[^A-Za-z0-9]+", "_", source_id).strip("_").upper()
    return name if name[:1].isalpha() else f"CAM_{name}"


def _hidden(url: str, prefix: str, secrets: Secrets, *, from_file: bool) -> str:
    def reference(secret: str, kind: str) -> str:
        if _REFERENCE.fullmatch(secret):
            return secret
        name = secrets.name_for(secret, f"{prefix}_{kind}")
        return f"${{file:secrets/{name}}}" if from_file else f"${{{name}}}"

    scheme, separator, rest = url.partition("://")
    if not separator or scheme == "v4l2":
        return url
    address, mark, query = rest.partition("?")
    login, at, place = address.rpartition("@")
    user, colon, password = login.partition(":")
    query = _SECRET_IN_QUERY.sub(lambda match: match[1] + reference(match[2], "TOKEN"), mark + query)
    # Some cameras carry the password in the path, in ways of their own.
    if "***" in redact_url(f"{scheme}://{place}") or "@" in query:
        return reference(url, "URL")
    kept = f"{user}{colon}{reference(password, 'PASSWORD') if password else ''}"
    return f"{scheme}://{kept if at else ''}{at}{place}{query}"
