"""The documentation: the site builds, every example is accepted, every command and option that is shown exists."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from xclip_stream.cli.commands import load_command
from xclip_stream.cli.reference import command_pages
from xclip_stream.config import Config, read_config

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
REST = {
    "sources": [{"id": "yard", "url": "yard.mp4"}],
    "rules": [{"id": "climbing", "prompts": ["a person climbing over a fence"]}],
}
"""What completes an example that shows some sections."""


def blocks(language: str) -> Iterator[tuple[str, str]]:
    """Yield the code blocks of a language, each with the page and line where it stands."""
    fence = re.compile(rf"^( *)```{language}\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
    for page in PAGES:
        text = page.read_text()
        for match in fence.finditer(text):
            place = f"{page.relative_to(ROOT)}:{text[: match.start()].count(chr(10)) + 1}"
            yield place, re.sub(rf"^{match[1]}", "", match[2], flags=re.MULTILINE)


def configurations() -> Iterator[tuple[str, str]]:
    """Yield the examples that are configurations, or sections of one."""
    for place, text in blocks("yaml"):
        found = yaml.compose(text)  # not loaded: others' files have tags of their own
        if isinstance(found, yaml.MappingNode) and {key.value for key, _ in found.value} <= set(Config.model_fields):
            yield place, text


def command_lines() -> Iterator[tuple[str, list[str]]]:
    """Yield the words behind `xclip-stream` of each command line that is shown."""
    for place, text in blocks("sh"):
        for line in text.replace("\\\n", " ").splitlines():
            for part in re.split(r"\s[|;&]+\s|\s#\s", line):
                _, found, rest = f" {part}".partition(" xclip-stream ")
                if found:
                    yield place, shlex.split(rest, comments=True)


CONFIGURATIONS = list(configurations())
COMMAND_LINES = list(command_lines())


@pytest.mark.parametrize(("place", "text"), CONFIGURATIONS, ids=[place for place, _ in CONFIGURATIONS])
def test_an_example_of_a_configuration_is_accepted(place: str, text: str) -> None:
    values = yaml.safe_load(text)
    missing = {key: value for key, value in REST.items() if key not in values}
    text = text + yaml.safe_dump(missing) if missing else text
    text = re.sub(r"\$\{file:secrets/(\w+)\}", r"${\1}", text)
    variables = dict.fromkeys(re.findall(r"\$\{(\w+)\}", text), "a-secret-of-many-characters")

    config = read_config(text, name=place, folder=ROOT, environ=variables)

    assert config.sources


def test_the_cookbook_has_recipes_enough() -> None:
    assert sum(place.startswith("docs/cookbook.md") for place, _ in CONFIGURATIONS) >= 10


@pytest.mark.parametrize(
    ("place", "words"), COMMAND_LINES, ids=[f"{place}-{words[0]}" for place, words in COMMAND_LINES]
)
def test_a_command_that_is_shown_exists_with_its_options(place: str, words: list[str]) -> None:
    if words[0].startswith("-"):
        return
    known = {page.words for page in command_pages()}
    name = next((name for name in (" ".join(words[:2]), words[0]) if name in known), None)
    assert name, f"{place}: there is no command {' '.join(words[:2])}"

    first, *others = name.split()
    command = load_command(first)
    for word in others:
        command = command.commands[word]
    options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    shown = {word.partition("=")[0] for word in words if re.fullmatch(r"--?[a-z][a-z-]*(=.*)?", word)}

    assert shown - options - {"--help"} == set(), f"{place}: {name}"


def headings(page: Path) -> set[str]:
    """Return the anchors of a page, as GitHub makes them."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md", "examples/README.md"])
def test_the_links_of_a_page_outside_of_the_site_lead_somewhere(name: str) -> None:
    page = ROOT / name
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        path, _, anchor = link.partition("#")
        target = page.parent / path
        if "://" not in link:
            assert target.exists(), link
            assert not anchor or anchor in headings(target), link


def test_the_site_builds_without_a_warning_and_takes_nothing_from_the_network(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )

    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    pages = [path.read_text() for path in (tmp_path / "site").rglob("*.html")]
    assert len(pages) > 20
    fetched = re.compile(r"<(?:script|img|iframe)[^>]*\ssrc=\"?https?:|<link[^>]*\shref=\"?https?:")
    assert [page for page in pages if fetched.search(page)] == []
    styles = "".join(path.read_text() for path in (tmp_path / "site").rglob("*.css"))
    assert not re.search(r"url\(\"?https?:|@import", styles)


def test_what_troubleshooting_says_that_you_see_is_what_the_program_says() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    code = "".join(path.read_text() for folder in ("xclip_stream", "workers") for path in (ROOT / folder).rglob("*.py"))
    said = " ".join(re.sub(r"[\"'] *\n *f?[\"']", "", code).split())
    seen = [
        text for cell in re.findall(r"^\| ([^|]*) \|", page, re.MULTILINE) for text in re.findall(r"`([^`]+)`", cell)
    ]
    sentences = [text for text in seen if text.count(" ") >= 2 and not text.startswith("error: site.yaml")]
    # What stands in the place of a name or a number differs.
    parts = [
        part.strip()
        for text in sentences
        for part in re.split(r"note: |/dev/video0: |\b5 s|\b20 s|yard|YARD_PASSWORD|…", text)
    ]

    assert len(sentences) > 12
    assert [part for part in parts if part not in said] == []
