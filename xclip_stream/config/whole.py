"""The configuration as a whole, and what its parts mean together."""

import hashlib
import json
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, SecretStr, model_validator
from pydantic_core import PydanticCustomError

from xclip_stream.config.checks import Parts, Reference, find_problems
from xclip_stream.config.evidence import EvidenceConfig
from xclip_stream.config.parts import (
    Closed,
    IngestConfig,
    ModelConfig,
    QueueConfig,
    RedisConfig,
    RuleConfig,
    SourceConfig,
)
from xclip_stream.config.problems import dotted
from xclip_stream.config.secrets import secret_texts
from xclip_stream.config.sinks import SinkConfig
from xclip_stream.config.values import shown_url
from xclip_stream.config.viewing import HistoryConfig, WebConfig
from xclip_stream.errors import ConfigError
from xclip_stream.types import WHOLE_FRAME, Region
from xclip_stream.windowing import Windowing

BETWEEN_SECTIONS = "between_sections"
"""The pydantic error type of problems between the sections; its context carries them."""


class Config(Closed):
    """All that the user decides. Frozen; the same file with the same secrets gives an equal value."""

    version: Literal[1] = 1
    model: ModelConfig = ModelConfig()
    redis: RedisConfig = RedisConfig()
    queue: QueueConfig = QueueConfig()
    ingest: IngestConfig = IngestConfig()
    evidence: EvidenceConfig | None = None
    history: HistoryConfig = HistoryConfig()
    web: WebConfig = WebConfig()
    sources: Annotated[tuple[SourceConfig, ...], Field(min_length=1, max_length=10_000)]
    rules: Annotated[tuple[RuleConfig, ...], Field(min_length=1, max_length=10_000)]
    sinks: Annotated[tuple[SinkConfig, ...], Field(max_length=1000)] = ()

    @model_validator(mode="after")
    def _check_between_sections(self) -> Self:
        found = list(find_problems(_parts(self)))
        if found:
            text = "; ".join(f"{dotted(problem.location)}: {problem.text}" for problem in found)
            raise PydanticCustomError(BETWEEN_SECTIONS, "{text}", {"text": text, "problems": found})
        return self

    @cached_property
    def config_hash(self) -> str:
        """A hash of what decides events, 16 hex digits.

        Neither secrets, nor where things are (the Redis, the folder of a file), nor limits of the queue take part, so
        that the same rules on the same files have the same hash on every machine.
        """
        kept = {"model", "sources", "rules", "sinks"}
        canonical = {name: _canonical(getattr(self, name)) for name in sorted(kept)}
        return hashlib.sha256(json.dumps(canonical, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def source_ids(self) -> tuple[str, ...]:
        """The ids of the sources, as they were written."""
        return tuple(source.id for source in self.sources)

    @property
    def sink_ids(self) -> tuple[str, ...]:
        """The ids of the sinks, as they were written."""
        return tuple(sink.id for sink in self.sinks)

    def source(self, source_id: str) -> SourceConfig:
        """Return the source with this id; KeyError when there is none."""
        return {source.id: source for source in self.sources}[source_id]

    def rules_of(self, source_id: str) -> tuple[RuleConfig, ...]:
        """Return the rules that watch a source, in their order.

        A rule for all sources watches only those that have one of its regions.
        """
        regions = {WHOLE_FRAME, *self.source(source_id).regions}
        return tuple(
            rule
            for rule in self.rules
            if (rule.sources is None or source_id in rule.sources) and not regions.isdisjoint(rule.regions)
        )

    def prompts_of(self, source_id: str) -> tuple[str, ...]:
        """Return every prompt that the rules of a source need, each once, in a stable order."""
        rules = self.rules_of(source_id)
        return tuple(dict.fromkeys(prompt for rule in rules for prompt in (*rule.prompts, *rule.background)))

    def regions_of(self, source_id: str) -> tuple[Region, ...]:
        """Return the regions of a source that its rules look at, the whole frame first, then as they were written.

        A source that no rule watches has its whole frame.
        """
        wanted = {name for rule in self.rules_of(source_id) for name in rule.regions} or {WHOLE_FRAME}
        whole = [Region(WHOLE_FRAME)] if WHOLE_FRAME in wanted else []
        boxes = self.source(source_id).regions.items()
        return (*whole, *(Region(name, *box) for name, box in boxes if name in wanted))

    def sinks_of(self, rule: RuleConfig) -> tuple[str, ...]:
        """Return the ids of the sinks that hear of a rule."""
        return self.sink_ids if rule.sinks is None else rule.sinks

    def secret_values(self) -> tuple[str, ...]:
        """Return every text that must never be shown: passwords, webhook secrets, values of headers."""
        return secret_texts(self)


def check_geometry(config: Config, num_frames: int) -> None:
    """Check the windows of each source against the number of frames that the checkpoint wants.

    Raises:
        ConfigError: a stride is not a whole number of frame spacings; names the source and the nearest that is.
    """
    found = []
    for source in config.sources:
        window = source.window
        try:
            Windowing[None](num_frames=num_frames, span_s=window.span_s, stride_s=window.stride_s)
        except ConfigError as error:
            found.append(f"source {source.id}: {error}")
    if found:
        raise ConfigError("\n".join(found))


def _parts(config: Config) -> Parts:
    return Parts(
        sources=dict(enumerate(config.sources)),
        rules=dict(enumerate(config.rules)),
        ids={
            "sources": config.source_ids,
            "rules": [rule.id for rule in config.rules],
            "sinks": config.sink_ids,
        },
        references=[
            Reference(("rules", index, section, number), section, name)
            for index, rule in enumerate(config.rules)
            for section, names in (("sources", rule.sources), ("sinks", rule.sinks))
            for number, name in enumerate(names or ())
        ],
    )


def _canonical(value: Any) -> Any:
    """Return plain JSON values without secrets and without the folder of any path."""
    match value:
        case SecretStr():
            shown = shown_url(value)
            return shown if "://" in shown else None
        case BaseModel():
            return _canonical_fields(value)
        case tuple() | list():
            return [_canonical(item) for item in value]
        case dict():
            return {key: _canonical(item) for key, item in value.items()}
    return value if isinstance(value, int | float | str | None) else str(getattr(value, "name", value))


def _canonical_fields(model: BaseModel) -> dict[str, Any]:
    fields = {name: _canonical(getattr(model, name)) for name in type(model).model_fields}
    if isinstance(model, SourceConfig) and not model.live:
        fields["url"] = model.shown_url.rpartition("/")[2]
    return fields
