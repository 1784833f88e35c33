"""A Redis server that lets in the users of deploy/redis/users.acl alone."""

import re
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

from tests.redis_servers import RedisServer

USERS = Path(__file__).parents[1] / "deploy" / "redis" / "users.acl"


def password_of(user: str) -> str:
    return f"{user}-p@ss"


def login(user: str) -> str:
    """Return user and password as they stand in a URL."""
    return f"{user}:{quote(password_of(user))}"


class GuardedServer(RedisServer):
    """A server with these users and their passwords. The test itself looks at it as the admin."""

    def __init__(self, version: str, *options: str) -> None:
        super().__init__(version, "--appendonly", "no", "--aclfile", "users.acl", *options)
        self.url = self.url_of("admin")

    def start(self, *options: str) -> None:
        users = re.sub(r"#(\w+)_SHA256", lambda found: "#" + _hash_of(found[1].lower()), USERS.read_text())
        (self._folder / "users.acl").write_text(users)
        super().start(*options)

    def url_of(self, user: str) -> str:
        return f"unix://{login(user)}@{self.socket}"

    def refusals(self) -> list[str]:
        """Return what users have been refused since the start, as the server has logged it."""
        with closing(self.client()) as client:
            return [f"{entry['username']}: {entry['reason']} {entry['object']}" for entry in client.acl_log()]


def _hash_of(user: str) -> str:
    return sha256(password_of(user).encode()).hexdigest()
