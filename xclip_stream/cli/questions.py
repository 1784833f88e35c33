"""What `init` asks, where somebody is there to answer."""

import sys

import typer

from xclip_stream.cli.ids import slug, source_name
from xclip_stream.config import DEFAULT_GROUP, GROUPS
from xclip_stream.errors import ConfigError

_MAX_PROMPTS = 20
_EXAMPLES = {
    "indoors": "a person falling down",
    "outdoors": "a person climbing over a fence",
    "street": "two people fighting",
    "office": "a person running",
    "shop": "a person putting something into a bag",
    "warehouse": "a person lying on the ground",
}


class Questions:
    """Asks on the terminal. Where it may not, what has no answer is an error.

    Args:
        silent: ask nothing, though there is a terminal.
    """

    def __init__(self, *, silent: bool) -> None:
        self._silent = silent

    @property
    def can_ask(self) -> bool:
        return not self._silent and sys.stdin.isatty()

    def may_ask(self, otherwise: str) -> None:
        """Make sure that it may.

        Raises:
            ConfigError: it may not; `otherwise` says what is missing.
        """
        if not self.can_ask:
            raise ConfigError(otherwise)

    def cameras(self) -> tuple[list[str], list[str]]:
        """Return the addresses of the cameras, and the name of each."""
        self.may_ask("which camera? give --url or --from-frigate")
        url = str(typer.prompt("Camera (rtsp://user:password@host/path, a file, or /dev/video0)")).strip()
        urls, names = list[str](), list[str]()
        while url:
            urls.append(url)
            names.append(str(typer.prompt("Its name", default=source_name(url), value_proc=_name)))
            url = _optional("Another camera, or nothing")
        return urls, names

    def another_url(self) -> str | None:
        """Return another address for a camera that cannot be read; None to keep the one it has."""
        return (_optional("Another address, or nothing to keep it") or None) if self.can_ask else None

    def place(self) -> str:
        """Return the background group for where the cameras are."""
        if not self.can_ask:
            return DEFAULT_GROUP
        for _ in range(5):
            answer = str(typer.prompt(f"Where do they look? {', '.join(GROUPS)}", default=DEFAULT_GROUP)).strip()
            if answer in GROUPS:
                return answer
            typer.echo(f"{answer} is none of them")
        return DEFAULT_GROUP

    def prompts(self, place: str | None) -> list[str]:
        """Return what to look for."""
        example = _EXAMPLES.get(place or "", "a person falling down")
        typer.echo(f"What shall it look for? In English, such as: {example}. One a line; nothing ends the list.")
        found: list[str] = []
        while len(found) < _MAX_PROMPTS:
            default = None if not found else ""
            answer = " ".join(str(typer.prompt(f"{len(found) + 1}", default=default, show_default=False)).split())
            if not answer:
                break
            if answer not in found:
                found.append(answer)
        return found

    def overwrite(self, name: str) -> bool:
        """Return whether a file may be written anew."""
        return self.can_ask and typer.confirm(f"{name} is there already. Write it anew?", default=False)


def _name(text: str) -> str:
    if not slug(text):
        raise typer.BadParameter("a name needs letters from a to z, or digits")
    return text


def _optional(question: str) -> str:
    return str(typer.prompt(question, default="", show_default=False)).strip()
