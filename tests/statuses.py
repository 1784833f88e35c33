"""What the reader of a source and the rules say of it, where a test names only what it is about."""

from dataclasses import replace
from typing import Any

from xclip_stream.protocols import RuleStatus, SourceState, SourceStatus

_SOURCE = SourceStatus("yard", SourceState.RUNNING, True, 0.0, 0.0, None, 0, 0, 0.0, "", updated_at=0.0)
_RULES = RuleStatus("yard", 0, 0, 0, 0, 0.0, "", 0.0, open_events=0, events=0, updated_at=0.0)


def source_status(**given: Any) -> SourceStatus:
    """Return the status of a camera that runs and has done nothing yet, but for what is given."""
    return replace(_SOURCE, **given)


def rule_status(**given: Any) -> RuleStatus:
    """Return the status of rules that have judged nothing yet, but for what is given."""
    return replace(_RULES, **given)
