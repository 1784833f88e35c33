"""The nearest thing that the user may have meant."""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `, did you mean 'x'?` for the nearest of `known`, or nothing when none is near."""
    nearest = get_close_matches(word.lower(), list(known), n=1, cutoff=0.6)
    return f", did you mean {nearest[0]!r}?" if nearest else ""
