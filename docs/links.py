"""A hook of the site: what the pages link to outside of docs/ is no part of the site, and is named instead."""

import re
from typing import Any

_OUTSIDE = re.compile(r"\[([^\]]+)\]\(((?:\.\./)+)([^)\s]*)\)")


def on_page_markdown(markdown: str, *, page: Any, **_: object) -> str:
    """Return the text with links out of docs/ as the paths that they have in a checkout."""
    depth = page.file.src_uri.count("/")

    def named(match: re.Match[str]) -> str:
        if match[2].count("../") <= depth:
            return match[0]
        label, path = match[1], match[3]
        return label if label.strip("`") == path else f"{label} (`{path}`)"

    return _OUTSIDE.sub(named, markdown)
