"""Asks a process for its health where there is no curl: `python -m xclip_stream.web.ask_health HOST:PORT/healthz`."""

import http.client
import sys

_TIMEOUT_S = 3.0


def ask_health(where: str) -> tuple[bool, str]:
    """Ask at `HOST:PORT/path`; return whether all is well, and the answer in one line."""
    address, slash, path = where.partition("/")
    try:
        connection = http.client.HTTPConnection(address, timeout=_TIMEOUT_S)
        connection.request("GET", slash + path)
        response = connection.getresponse()
        return response.status == http.HTTPStatus.OK, response.read().decode().strip()
    except (OSError, http.client.HTTPException) as error:
        return False, f"{where}: {error}"


if __name__ == "__main__":
    is_well, answer = ask_health(sys.argv[1])
    sys.stdout.write(f"{answer}\n")
    sys.exit(not is_well)
