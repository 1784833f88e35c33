"""The ids that a new configuration gives to what was named in other ways. Pure."""

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path


def source_name(source: str) -> str:
    """Return an id for a source: the host of a URL, or the name of a file."""
    if "://" in source and not source.startswith("v4l2:"):
        name = re.split(r"[/?#]", source.partition("://")[2].rpartition("@")[2])[0].partition(":")[0]
    else:
        name = Path(source.partition("?")[0] if "://" in source else source).stem
    return slug(name) or "source"


def rule_ids(prompts: Sequence[str]) -> list[str]:
    """Return an id for the rule of each prompt."""
    slugs = [slug(prompt.lower()) or "rule" for prompt in prompts]
    return [slug if slugs.count(slug) == 1 else f"{slug[:60]}-{number}" for number, slug in enumerate(slugs, 1)]


def slug(text: str) -> str:
    """Return a text as an id, its letters without their marks; empty where nothing of it can stand in one."""
    plain = "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    return re.sub(r"[^A-Za-z0-9_.]+", "-", plain).strip("-_.")[:64]
