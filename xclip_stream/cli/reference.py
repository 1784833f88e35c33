"""The reference of the commands, as a page and as a manual page, made from the commands themselves.

`python -m xclip_stream.cli.reference` writes the pages of docs/ that are made from code; with `--check` it says which
are not current.
"""

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
import typer.main

from xclip_stream.cli.app import app
from xclip_stream.cli.commands import COMMANDS, load_command
from xclip_stream.config.reference import configuration_reference

_PROGRAM = "xclip-stream"
_MARKUP = re.compile(r"(?<!\\)\[(/?)bold\]")


@dataclass(frozen=True, slots=True)
class CommandPage:
    """One command: its words, its help, and what it takes as (name, meaning)."""

    words: str
    usage: str
    paragraphs: tuple[str, ...]
    examples: tuple[str, ...]
    arguments: tuple[tuple[str, str], ...]


def command_pages() -> Iterator[CommandPage]:
    """Yield every command in the order of `--help`."""
    group = typer.main.get_command(app)
    context = typer.Context(group, info_name=_PROGRAM)
    for name in COMMANDS:
        command = load_command(name)
        yield from _pages(command, typer.Context(command, info_name=name, parent=context), name)


def commands_page() -> str:
    """Return docs/cli.md."""
    pages = list(command_pages())
    lines = ["# Commands", "", "<!-- Made by `make schemas` from the code. Do not edit. -->", "", _INTRODUCTION]
    lines += [f"- [`{page.words}`](#{page.words.replace(' ', '-')}): {page.paragraphs[0]}" for page in pages]
    for page in pages:
        lines += ["", f"## `{page.words}`", ""]
        lines += [f"{paragraph}\n" for paragraph in page.paragraphs]
        lines += ["```text", f"{_PROGRAM} {page.usage}", "```", ""]
        lines += [f"- `{name}`: {text}" for name, text in page.arguments]
        lines += ["", "```sh", *page.examples, "```"] if page.examples else []
    return "\n".join(lines) + "\n"


_INTRODUCTION = """\
`xclip-stream COMMAND --help` shows the same in the terminal, and `man xclip-stream` where the package is installed for
the whole machine. `xclip-stream --install-completion` lets bash, zsh and fish complete commands, options and what they
may be. Exit codes: 0 all is well, 1 something failed, 2 the command line or the configuration is wrong, 130
interrupted. `XCLIP_STREAM_DEBUG=1` shows where an error happened.
"""


def manual_page() -> str:
    """Return xclip_stream/cli/xclip-stream.1, for `man`."""
    lines = [
        '.\\" Made by `make schemas` from the code. Do not edit.',
        '.TH XCLIP-STREAM 1 "" "xclip-stream" "User Commands"',
        ".SH NAME",
        "xclip-stream \\- spot actions in live video from plain-text prompts",
        ".SH SYNOPSIS",
        ".B xclip-stream",
        "COMMAND [OPTIONS] [ARGUMENTS]",
        ".SH COMMANDS",
    ]
    for page in command_pages():
        lines += [f".SS {_roff(page.words)}", f".B xclip-stream\n{_roff(page.usage)}"]
        lines += [line for paragraph in page.paragraphs for line in (".PP", _roff(paragraph))]
        lines += [line for name, text in page.arguments for line in (".TP", f".B {_roff(name)}", _roff(text))]
        lines += [".PP", "Examples:", ".PP", ".nf", *map(_roff, page.examples), ".fi"] if page.examples else []
    lines += [".SH EXIT STATUS", "0 all is well, 1 something failed, 2 the command line or the configuration is wrong,"]
    lines += ["130 interrupted."]
    return "\n".join(lines) + "\n"


def pages_of_code(root: Path) -> Mapping[Path, str]:
    """Return the pages that are made from code, each under its path below the checkout."""
    return {
        Path("docs/cli.md"): commands_page(),
        Path("xclip_stream/cli/xclip-stream.1"): manual_page(),
        Path("docs/configuration.md"): configuration_reference((root / "configs" / "example.yaml").read_text()),
    }


def _pages(command: Any, context: typer.Context, words: str) -> Iterator[CommandPage]:
    children = getattr(command, "commands", None)
    if children is None:
        yield _page(command, context, words)
        return
    for name, child in children.items():
        yield from _pages(child, typer.Context(child, info_name=name, parent=context), f"{words} {name}".strip())


def _page(command: Any, context: typer.Context, words: str) -> CommandPage:
    text, _, examples = (command.help or "").partition("[bold]Examples[/bold]")
    records = [record for param in command.params if (record := param.get_help_record(context))]
    return CommandPage(
        words=words,
        usage=f"{words} {' '.join(command.collect_usage_pieces(context))}",
        paragraphs=tuple(_plain(" ".join(part.split())) for part in text.split("\n\n") if part.strip()),
        examples=tuple(_plain(line.strip()) for line in examples.splitlines() if line.strip()),
        arguments=tuple((_plain(name), _plain(" ".join(meaning.split()))) for name, meaning in records),
    )


def _plain(text: str) -> str:
    """Return a help text without the marks for the terminal."""
    return _MARKUP.sub("", text).replace("\\[", "[")


def _roff(text: str) -> str:
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text.startswith((".", "'")) else text


def main(root: Path, *, is_check: bool) -> int:
    """Write the pages, or say which are not current; return the exit code."""
    stale = []
    for path, text in pages_of_code(root).items():
        if not is_check:
            (root / path).write_text(text)
        elif not (root / path).exists() or (root / path).read_text() != text:
            stale.append(str(path))
    if stale:
        sys.stderr.write(f"not current, run `make schemas`: {', '.join(stale)}\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(Path(), is_check="--check" in sys.argv[1:]))
