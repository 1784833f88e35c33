"""What the sections of a configuration must be to one another: ids that exist once, references that lead somewhere."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from xclip_stream.config.parts import RuleConfig, SourceConfig
from xclip_stream.config.problems import Location, Problem
from xclip_stream.config.suggestions import did_you_mean
from xclip_stream.types import WHOLE_FRAME

MAX_HINTS = 100
"""The nearest among thousands of names is found in some milliseconds: too long for each of thousands of mistakes."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A place that names an entry of another section."""

    location: Location
    section: str
    name: str


@dataclass(frozen=True, slots=True)
class Parts:
    """The entries that are right in themselves, by their index; ids and references also of those that are not."""

    sources: Mapping[int, SourceConfig]
    rules: Mapping[int, RuleConfig]
    ids: Mapping[str, Sequence[str | None]]
    """For `sources`, `rules` and `sinks` the id of each entry, None where there is none."""
    references: Sequence[Reference]


def find_problems(parts: Parts) -> Iterator[Problem]:
    """Yield everything that is wrong between the sections."""
    for section, ids in parts.ids.items():
        yield from _duplicates(section, ids)
    yield from _dangling(parts)
    for index, source in parts.sources.items():
        yield from _useless_keys(("sources", index), source)
    for index, rule in parts.rules.items():
        yield from _rule_problems(("rules", index), rule, parts)


def _duplicates(section: str, ids: Sequence[str | None]) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for index, name in enumerate(ids):
        if name is not None and first.setdefault(name, index) != index:
            yield Problem((section, index, "id"), f"{name!r} is the id of {section}[{first[name]}] already")


def _useless_keys(at: Location, source: SourceConfig) -> Iterator[Problem]:
    """Keys that would do nothing are mistakes: the user expects something of them."""
    why = "is for files; a live source has its own time" if source.live else "is for live sources; this one is a file"
    for key in sorted(source.model_fields_set & source.useless_keys):
        yield Problem((*at, key), why)


def _rule_problems(at: Location, rule: RuleConfig, parts: Parts) -> Iterator[Problem]:
    if rule.exit >= rule.enter:
        default = "" if "exit" in rule.model_fields_set else f"; it is {rule.exit:g} where nothing is given"
        yield Problem((*at, "exit"), f"must be less than enter ({rule.enter:g}){default}")
    if rule.min_duration_s >= rule.max_duration_s:
        yield Problem((*at, "min_duration_s"), f"must be less than max_duration_s ({rule.max_duration_s:g})")
    yield from _region_problems((*at, "regions"), rule, parts)
    yield from _schedule_problems((*at, "schedule"), rule, parts)


def _dangling(parts: Parts) -> Iterator[Problem]:
    known = {section: {name for name in ids if name is not None} for section, ids in parts.ids.items()}
    dangling = [reference for reference in parts.references if reference.name not in known[reference.section]]
    for number, reference in enumerate(dangling):
        kind = reference.section.removesuffix("s")
        hint = did_you_mean(reference.name, sorted(known[reference.section])) if number < MAX_HINTS else ""
        yield Problem(reference.location, f"there is no {kind} {reference.name!r}{hint}")


def _watched(rule: RuleConfig, parts: Parts) -> list[SourceConfig]:
    return [source for source in parts.sources.values() if rule.sources is None or source.id in rule.sources]


def _region_problems(at: Location, rule: RuleConfig, parts: Parts) -> Iterator[Problem]:
    """A rule that names its sources needs its regions in each; a rule for all of them, in at least one."""
    watched = _watched(rule, parts)
    if len(parts.sources) < len(parts.ids["sources"]):
        return  # a source that is wrong itself may have the region
    for index, region in enumerate(rule.regions):
        without = [source.id for source in watched if region not in source.regions]
        is_missing = bool(without) if rule.sources is not None else len(without) == len(watched)
        if region != WHOLE_FRAME and watched and is_missing:
            known = {name for source in watched for name in source.regions}
            yield Problem((*at, index), _no_region(region, without, rule.sources is None, known))


def _no_region(region: str, without: Sequence[str], for_all: bool, known: Collection[str]) -> str:
    where = "no source has" if for_all else f"{'source' if len(without) == 1 else 'sources'} {', '.join(without)}: no"
    return f"{where} region {region!r}{did_you_mean(region, known)}"


def _schedule_problems(at: Location, rule: RuleConfig, parts: Parts) -> Iterator[Problem]:
    undated = [source.id for source in _watched(rule, parts) if not source.live and source.start_time is None]
    if rule.schedule is not None and undated:
        yield Problem(at, f"needs to know when the file was recorded: give source {', '.join(undated)} a start_time")
