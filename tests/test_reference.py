"""The pages that are made from the code: current, whole, and fit to be read."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import missing_part
from xclip_stream.cli.reference import command_pages, commands_page, pages_of_code
from xclip_stream.config import Config
from xclip_stream.config.reference import comments_of, configuration_reference

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = (ROOT / "configs" / "example.yaml").read_text()


@pytest.mark.parametrize("path", ["docs/cli.md", "xclip_stream/cli/xclip-stream.1", "docs/configuration.md"])
def test_a_page_made_from_code_is_current(path: str) -> None:
    assert (ROOT / path).read_text() == pages_of_code(ROOT)[Path(path)], "run `make schemas`"


def test_every_command_is_told_with_its_examples() -> None:
    pages = list(command_pages())

    assert {"init", "probe", "events tail", "dead-letters drop"} < {page.words for page in pages}
    for page in pages:
        assert page.paragraphs, page.words
        assert page.examples, page.words
        assert all(f"xclip-stream {page.words}" in " ".join(page.examples) for _ in page.examples), page.words


def test_an_example_is_one_line_of_a_terminal_of_usual_width() -> None:
    examples = [example for page in command_pages() for example in page.examples]

    assert [example for example in examples if len(example) > 76] == []


def test_nothing_of_the_terminal_is_left_in_the_page() -> None:
    assert not re.search(r"\[/?bold\]|\\\[", commands_page())


def test_every_key_of_every_section_has_a_line() -> None:
    page = configuration_reference(EXAMPLE)
    schema = Config.model_json_schema(by_alias=True)

    keys = {key for section in schema["$defs"].values() for key in section.get("properties", {}) if key != "type"}
    told = {name.rpartition(".")[2] for name in re.findall(r"^\| `([\w.]+)` \|", page, re.MULTILINE)}
    assert keys - told == set()


def test_bounds_defaults_and_meanings_stand_in_a_line() -> None:
    page = configuration_reference(EXAMPLE)

    assert "| `lease_s` | number, ≥ 2, ≤ 60 | `6` | several ingest workers share the sources; so long after" in page
    assert "| `window.fit` | `crop`, `stretch` | – | crop \\| stretch to the model's square" in page
    assert "| `prompts` | list of texts | required | what to look for;" in page


def test_a_comment_stands_beside_its_key_goes_on_below_it_or_stands_above_it() -> None:
    example = """\
a:
  # Above
  # in two lines.
  b: 1
  c: 2             # beside
                   # and below
  d: 3
sinks:
  - id: x          # a name
    type: jsonl    # a file
    path: y        # where
"""

    assert comments_of(example) == {
        ("a", "b"): "Above in two lines.",
        ("a", "c"): "beside and below",
        ("sinks", "jsonl", "id"): "a name",
        ("sinks", "jsonl", "type"): "a file",
        ("sinks", "jsonl", "path"): "where",
    }


def test_man_shows_the_manual_page() -> None:
    if shutil.which("man") is None or shutil.which("groff") is None:
        missing_part("man", "apt-get install man-db groff")

    done = subprocess.run(
        ["man", "--warnings", "-l", str(ROOT / "xclip_stream" / "cli" / "xclip-stream.1")],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stderr == ""
    assert "xclip-stream probe [OPTIONS] {SOURCE}" in re.sub(r".\x08", "", done.stdout)
