"""Text without secrets: what may stand in a log, a status or an error."""

import re
from urllib.parse import urlsplit, urlunsplit

MASK = "***"
"""What stands for what is not shown."""
# Without the colon behind it, with which a sentence goes on. The scheme is bounded, since each letter of a long word is
# looked at as the beginning of one.
_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]{0,31}://[^\s'\"<>]*[^\s'\"<>:]")
# Some cameras carry the password in the path: /user=admin_password=x_channel=1.sdp
_SECRET_IN_PATH = re.compile(r"(?i)(user(?:name)?|pass(?:word|wd)?|pwd|token|secret|auth|key)=.*?(?=[_&;,][a-z]+=|/|$)")
_VALUE_IN_QUERY = re.compile(r"=[^&;]*")

_HOST = re.compile(r"([\w.-]+|\[[0-9a-fA-F:.]+\])(:\d{1,5})?")


def redact_url(url: str) -> str:
    """Return `url` without user, password and the values of its query; the path of a file or device stays as it is."""
    scheme, separator, rest = url.partition("://")
    if not separator or (scheme == "v4l2" and rest.startswith("/")):
        return url
    # A password may hold an unescaped "/" or "?", which a strict reading would take for the end of the host.
    address, mark, query = rest.partition("?")
    user, at, address = address.rpartition("@")
    if "@" in query:
        return f"{scheme}://{MASK}"
    try:
        others, address = _without_other_hosts(address)
        parts = urlsplit(f"{scheme}://{address}{mark}{query}")
        _ = parts.port  # raises where "user:password" stands in the place of the host
    except ValueError:
        return f"{scheme}://{MASK}"
    host = f"{MASK}@{others}{parts.netloc}" if at and user else f"{others}{parts.netloc}"
    path = _SECRET_IN_PATH.sub(rf"\1={MASK}", parts.path)
    return urlunsplit((parts.scheme, host, path, _masked_query(parts.query), MASK if parts.fragment else ""))


def redact_text(text: str) -> str:
    """Return `text` with every URL in it redacted."""
    return _URL.sub(lambda match: redact_url(match.group()), text)


def _without_other_hosts(address: str) -> tuple[str, str]:
    """Split off all hosts but the last of `host:port,host:port/path`: a URL that is taken apart has one.

    Raises:
        ValueError: one of them is none.
    """
    hosts, slash, path = address.partition("/")
    others, comma, last = hosts.rpartition(",")
    if not all(_HOST.fullmatch(host) for host in filter(None, others.split(","))):
        raise ValueError("not a host")
    return others + comma, last + slash + path


def _masked_query(query: str) -> str:
    if query and "=" not in query:
        return MASK
    return _VALUE_IN_QUERY.sub(f"={MASK}", query)
