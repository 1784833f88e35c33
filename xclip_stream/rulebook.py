"""The rules of a configuration as JSON: what is kept, so that an event can be shown with the rule as it was."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from xclip_stream.rules import Rule
from xclip_stream.schedule import DAYS, Schedule


def encode_rules(rules: Iterable[Rule]) -> bytes:
    """Return rules as a JSON list, for people to read."""
    return json.dumps([plain_rule(rule) for rule in rules], ensure_ascii=False, separators=(",", ":")).encode()


def find_rule(rulebook: bytes, rule_id: str) -> Mapping[str, Any] | None:
    """Return one rule of what `encode_rules` gave; None where it has none of that id, or is something else."""
    try:
        found: Any = json.loads(rulebook)
    except (ValueError, RecursionError):
        return None
    rules = [rule for rule in found if isinstance(rule, dict)] if isinstance(found, list) else []
    return next(
        (rule for rule in rules if rule.get("rule_id") == rule_id and isinstance(rule.get("sinks"), list)), None
    )


def plain_rule(rule: Rule) -> dict[str, Any]:
    """Return a rule as plain JSON values."""
    return {
        "rule_id": rule.rule_id,
        "sources": None if rule.sources is None else list(rule.sources),
        "regions": list(rule.regions),
        "prompts": list(rule.prompts),
        "background": list(rule.background),
        "enter": rule.enter,
        "exit": rule.exit,
        "min_duration_s": rule.min_duration_s,
        "cooldown_s": rule.cooldown_s,
        "max_duration_s": rule.max_duration_s,
        "schedule": None if rule.schedule is None else _schedule(rule.schedule),
        "severity": rule.severity,
        "labels": dict(rule.labels),
        "sinks": list(rule.sinks),
    }


def _schedule(schedule: Schedule) -> str:
    days = ", ".join(DAYS[day] for day in sorted(schedule.days))
    return f"{days} {schedule.opens:%H:%M}-{schedule.closes:%H:%M} {schedule.timezone}"
