"""The text of a new configuration, with comments for who goes on from there. Pure."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xclip_stream.cli.ids import rule_ids
from xclip_stream.cli.new_site import NewCamera
from xclip_stream.config import literal

_PLAIN = re.compile(r"[A-Za-z/](?:[A-Za-z0-9 _.,'()?&=@$/-]|\{(?=[A-Z])|\}|:(?=\S))*")
"""What needs no quotes in the place of a value."""
_YAML_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "~"}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSite:
    """What a new configuration shall hold."""

    cameras: Sequence[NewCamera]
    prompts: Sequence[str]
    background: Sequence[str]
    checkpoint: str | None


def site_text(site: NewSite, *, name: str) -> str:
    """Return the configuration; `name` is that of its file."""
    return "\n".join([*_head(site, name), *_sources(site.cameras), *_rules(site), *_SINKS, ""])


_SINKS = (
    "",
    "sinks:                          # who hears of events; webhooks, mail, MQTT and more: docs/sinks.md",
    "  - id: console",
    "    type: console               # the terminal in which it runs",
    "  - id: archive",
    "    type: jsonl                 # a file with one JSON object a line",
    "    path: events.jsonl",
    "",
    "evidence: {}                    # keeps a picture and a clip of each event for a week, in the folder `evidence`",
)


def _head(site: NewSite, name: str) -> Iterator[str]:
    yield "# Written by `xclip-stream init`. Change what you like: a running system follows this file."
    yield f"#   xclip-stream check {name}    finds every mistake at once"
    yield f"#   xclip-stream run {name}      watches until Ctrl-C"
    yield "version: 1"
    if site.checkpoint:
        yield ""
        yield "model:"
        yield f"  checkpoint: {scalar(site.checkpoint)}"


def _sources(cameras: Sequence[NewCamera]) -> Iterator[str]:
    yield ""
    yield "sources:"
    for camera in cameras:
        yield f"  - id: {scalar(camera.id)}"
        yield f"    url: {scalar(camera.url)}" + (f"   # {camera.remark}" if camera.remark else "")
        if camera.transport != "tcp":
            yield f"    transport: {camera.transport}"
        if camera.record_url:
            yield f"    record_url: {scalar(camera.record_url)}"


def _rules(site: NewSite) -> Iterator[str]:
    yield ""
    yield "rules:                          # each watches all sources; name some with `sources: [yard]`"
    for rule_id, prompt in zip(rule_ids(site.prompts), site.prompts, strict=True):
        yield f"  - id: {scalar(rule_id)}"
        yield "    prompts:                    # what to look for; other wordings of the same action help"
        yield f"      - {scalar(literal(prompt))}"
        yield "    background:                 # what is ordinary here; add what your camera shows all day"
        yield from (f"      - {scalar(literal(item))}" for item in site.background)
        yield "    enter: 0.6                  # an event starts at this score: higher for fewer false alarms"
        yield "    exit: 0.4                   # and ends below this one"
        yield "    cooldown_s: 30              # no new event for so long after one has ended"


def scalar(text: str) -> str:
    """Return a text as a YAML value: plain where that is safe, else in double quotes."""
    is_plain = _PLAIN.fullmatch(text) and text.lower() not in _YAML_WORDS and not text.endswith(" ")
    return text if is_plain else json.dumps(text, ensure_ascii=False)
