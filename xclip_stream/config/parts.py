"""The sections of a configuration as closed, frozen, bounded values; each attribute is named like its YAML key.

Nothing here opens, connects or asks for the time. Paths are anchored to the folder given as validation context.
"""

from collections.abc import Mapping
from datetime import UTC
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from xclip_stream.config.backgrounds import DEFAULT_GROUP, GROUPS
from xclip_stream.config.suggestions import did_you_mean
from xclip_stream.config.values import (
    AnchoredPath,
    Box,
    Device,
    Id,
    Ids,
    Moment,
    Prompts,
    RedisAddress,
    SourceUrl,
    anchored,
    distinct,
    one_line,
)
from xclip_stream.redaction import redact_url
from xclip_stream.redis_url import RedisUrl, with_tls_files
from xclip_stream.rules import Rule
from xclip_stream.schedule import Schedule, parse_clock, parse_days
from xclip_stream.types import WHOLE_FRAME, HwAccel, IdleMode

_FILE_KEYS = frozenset({"start_time", "realtime"})
_LIVE_KEYS = frozenset({"transport", "backlog_windows", "idle", "idle_refresh_s"})
FRAME = "frame"
"""How a rule's `regions` names the whole picture."""
GROUP_MARK = "group:"


class Closed(BaseModel):
    """A section: no key that is not declared, no change after construction, no input quoted in errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, allow_inf_nan=False)


class ModelConfig(Closed):
    """Which X-CLIP scores the windows, and how it runs."""

    checkpoint: str = Field(default="microsoft/xclip-base-patch32", min_length=1)
    """`demo` for the packaged one, a folder (begins with `/`, `./`, `../` or `~`), or a hub id."""
    revision: str | None = None
    device: Device = "auto"
    backend: Literal["auto", "torch", "openvino", "amx"] = "auto"
    quantized: AnchoredPath | None = None
    """A folder that `xclip-stream quantize` has made of this checkpoint."""
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    batch_size: int | None = Field(default=None, ge=1, le=1024)
    threads: int | None = Field(default=None, ge=1, le=1024)
    batch_timeout_s: float = Field(default=300.0, ge=1, le=86_400)

    @field_validator("checkpoint")
    @classmethod
    def _anchor_folder(cls, text: str, info: ValidationInfo) -> str:
        is_folder = text in {".", ".."} or text.startswith(("/", "./", "../", "~"))
        return str(anchored(text, info)) if is_folder else text


class TlsConfig(Closed):
    """The files of TLS connections. The server's certificate and its name are verified in any case."""

    ca_file: AnchoredPath | None = None
    cert_file: AnchoredPath | None = None
    key_file: AnchoredPath | None = None

    @model_validator(mode="after")
    def _check_pair(self) -> Self:
        if self.key_file and not self.cert_file:
            raise ValueError("key_file is the key of a certificate: give cert_file too")
        return self


class RedisConfig(Closed):
    """Where the queue is. Without `url` an embedded server is started."""

    url: RedisAddress | None = None
    tls: TlsConfig = TlsConfig()
    namespace: Id = "main"
    dir: AnchoredPath | None = None

    @model_validator(mode="after")
    def _check_tls(self) -> Self:
        if self.url and self.tls != TlsConfig() and not RedisUrl.parse(self.url.get_secret_value()).tls:
            raise ValueError("tls is for a url that begins with rediss")
        return self

    def address(self, *, instead: str | None) -> str | None:
        """Return the URL of the queue with the files for TLS in it; None where there is none.

        Args:
            instead: a URL that takes the place of `url`.

        Raises:
            ConfigError: `instead` is not a Redis URL.
        """
        url = instead or (None if self.url is None else self.url.get_secret_value())
        return url and with_tls_files(
            url, ca_file=self.tls.ca_file, cert_file=self.tls.cert_file, key_file=self.tls.key_file
        )


class QueueConfig(Closed):
    """The bounds of the queue."""

    max_bytes: ByteSize | None = Field(default=None, ge=4 * 1024 * 1024)
    file_windows: int = Field(default=8, ge=1, le=10_000)
    live_windows: int = Field(default=2, ge=1, le=10_000)
    max_age_s: float = Field(default=10.0, gt=0, le=3600)
    claim_idle_s: float = Field(default=30.0, ge=1, le=3600)
    max_deliveries: int = Field(default=3, ge=1, le=100)
    events_retained: int = Field(default=100_000, ge=1, le=100_000_000)


class IngestConfig(Closed):
    """How several ingest workers share the sources."""

    lease_s: float = Field(default=6.0, ge=2, le=60)


class WindowConfig(Closed):
    """How the frames of a source are cut into windows."""

    span_s: float = Field(default=4.0, ge=0.1, le=600)
    stride_s: float = Field(default=1.0, ge=0.01, le=600)
    max_gap_s: float | None = Field(default=None, gt=0, le=3600)
    fit: Literal["crop", "stretch"] | None = None


def _off(value: object) -> object:
    """Read `off` as it is meant: a chart or another reader of YAML 1.1 has made `false` of it."""
    return "off" if value is False else value


class SourceConfig(Closed):
    """One camera or file."""

    id: Id
    url: SourceUrl
    window: WindowConfig = WindowConfig()
    regions: Mapping[Id, Box] = Field(default_factory=dict, max_length=64)
    masks: tuple[Box, ...] = Field(default=(), max_length=64)
    record_url: SourceUrl | None = None
    evidence: bool = True
    start_time: Moment | None = None
    transport: Literal["tcp", "udp"] = "tcp"
    hwaccel: HwAccel | None = None
    open_timeout_s: float = Field(default=10.0, gt=0, le=600)
    read_timeout_s: float = Field(default=5.0, gt=0, le=600)
    realtime: bool = False
    backlog_windows: int = Field(default=4, ge=1, le=1000)
    idle: Annotated[IdleMode, BeforeValidator(_off)] = "conservative"
    """What is saved of a camera while nothing moves in its picture; of a file never anything."""
    idle_refresh_s: float = Field(default=30.0, ge=1, le=3600)

    @field_validator("regions")
    @classmethod
    def _keep_whole_frame_free(cls, regions: Mapping[str, Box]) -> Mapping[str, Box]:
        if FRAME in regions:
            raise ValueError(f"the name {FRAME!r} stands for the whole picture: choose another one")
        return regions

    @model_validator(mode="after")
    def _check_record_url(self) -> Self:
        if self.record_url and not (self.live and "://" in self.record_url.get_secret_value()):
            raise ValueError("record_url is another stream of a camera: url and record_url must be URLs")
        return self

    @property
    def live(self) -> bool:
        """True for a URL, False for a file."""
        return "://" in self.url.get_secret_value()

    @property
    def useless_keys(self) -> frozenset[str]:
        """The keys that would do nothing: those of files for a live source, those of live sources for a file."""
        return _FILE_KEYS if self.live else _LIVE_KEYS

    @property
    def start_unix_s(self) -> float:
        """Event time of the first frame of a file, Unix seconds; 0 where none was given."""
        return 0.0 if self.start_time is None else self.start_time.astimezone(UTC).timestamp()

    @property
    def shown_url(self) -> str:
        """The URL or path as it may be shown: without user, password and query."""
        return redact_url(self.url.get_secret_value())


class ScheduleConfig(Closed):
    """When a rule is awake, as it was written; `build` gives the schedule itself."""

    days: str | tuple[str, ...] = "mon-sun"
    opens: str = Field(default="00:00", alias="from")
    closes: str = Field(default="24:00", alias="to")
    timezone: str

    @field_validator("days")
    @classmethod
    def _check_days(cls, days: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if not parse_days(days):
            raise ValueError("has no day: write it like 'mon-fri'")
        return days

    @field_validator("opens", "closes")
    @classmethod
    def _check_clock(cls, text: str) -> str:
        parse_clock(text)
        return text

    @field_validator("timezone")
    @classmethod
    def _check_zone(cls, name: str) -> str:
        Schedule.parse(days="mon", opens="00:00", closes="00:00", timezone=name)
        return name

    def build(self) -> Schedule:
        """Return the schedule that this describes."""
        return Schedule.parse(days=self.days, opens=self.opens, closes=self.closes, timezone=self.timezone)


class RuleConfig(Closed):
    """When prompts are an event."""

    id: Id
    sources: Annotated[Ids, Field(min_length=1)] | None = None
    """None means all of them."""
    regions: Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(distinct)] = (WHOLE_FRAME,)
    """Names of regions; `WHOLE_FRAME` is the whole picture, which YAML calls `frame`."""
    prompts: Prompts
    background: tuple[str, ...] = Field(default=(GROUP_MARK + DEFAULT_GROUP,), validate_default=True)
    """Prompts of the ordinary scene, built-in groups already replaced by theirs."""
    enter: float = Field(default=0.6, gt=0, le=1)
    exit: float = Field(default=0.4, ge=0, lt=1)
    min_duration_s: float = Field(default=0.0, ge=0, le=86_400)
    cooldown_s: float = Field(default=0.0, ge=0, le=86_400)
    max_duration_s: float = Field(default=300.0, gt=0, le=86_400)
    schedule: ScheduleConfig | None = None
    severity: Literal["info", "warning", "critical"] = "warning"
    labels: Mapping[str, Annotated[str, Field(coerce_numbers_to_str=True)]] = Field(
        default_factory=dict, max_length=100
    )
    sinks: Ids | None = None
    """None means all of them; an empty list leaves the event on the public stream alone."""

    def build(self, *, sources: tuple[str, ...] | None = None, sinks: tuple[str, ...] = ()) -> Rule:
        """Return the rule that this describes, for these sources, None being all, and these sinks."""
        return Rule(
            rule_id=self.id,
            prompts=self.prompts,
            background=self.background,
            enter=self.enter,
            exit=self.exit,
            min_duration_s=self.min_duration_s,
            cooldown_s=self.cooldown_s,
            max_duration_s=self.max_duration_s,
            schedule=None if self.schedule is None else self.schedule.build(),
            severity=self.severity,
            labels=self.labels,
            sinks=sinks,
            sources=sources,
            regions=self.regions,
        )

    @field_validator("regions")
    @classmethod
    def _name_whole_frame(cls, regions: tuple[str, ...]) -> tuple[str, ...]:
        if WHOLE_FRAME in regions:
            raise ValueError(f"has an empty name: the whole picture is called {FRAME!r}")
        return tuple(WHOLE_FRAME if name == FRAME else name for name in regions)

    @field_validator("prompts")
    @classmethod
    def _refuse_groups(cls, prompts: tuple[str, ...]) -> tuple[str, ...]:
        for prompt in prompts:
            if _group_named(prompt) is not None:
                raise ValueError(f"has {prompt!r}: groups are for background; describe what to look for")
        return prompts

    @field_validator("background", mode="before")
    @classmethod
    def _replace_groups(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, str):
            value = [value if value.startswith(GROUP_MARK) else GROUP_MARK + value]
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
            raise ValueError("must be a list of prompts, or the name of a built-in group")
        if not value:
            raise ValueError(
                "is empty: with nothing to compare to, the score would always be 1; describe the ordinary scene, "
                f"or leave the key out to use group:{DEFAULT_GROUP}"
            )
        return _background(value, info.data.get("prompts", ()))


def _background(items: list[str] | tuple[str, ...], prompts: tuple[str, ...]) -> tuple[str, ...]:
    """Return the prompts of a background in their order, each once, whatever its case: the model makes no difference.

    A prompt of a group that the rule itself looks for is left out of the group; one that the user wrote in both places
    is an error.
    """
    positive = {prompt.casefold() for prompt in prompts}
    found: dict[str, str] = {}
    for item in items:
        group = _group_named(item)
        if group is not None:
            own = [prompt for prompt in _group(group) if prompt.casefold() not in positive]
        elif item.strip() in GROUPS:
            raise ValueError(f"{item!r} is the name of a group: write {GROUP_MARK}{item.strip()}")
        elif one_line(item).casefold() in positive:
            raise ValueError(f"{item!r} is a prompt of this rule too: it cannot be both")
        else:
            own = [one_line(item)]
        for prompt in own:
            found.setdefault(prompt.casefold(), prompt)
    if not found:
        raise ValueError("is empty: this rule looks for all prompts of the group, and there is nothing to compare to")
    return tuple(found.values())


def _group_named(item: str) -> str | None:
    """Return the name behind `group:`, or None where this is a prompt."""
    mark, colon, name = item.partition(":")
    return name.strip() if colon and mark.strip().lower() + colon == GROUP_MARK else None


def _group(name: str) -> tuple[str, ...]:
    if name not in GROUPS:
        hint = did_you_mean(name, GROUPS)
        raise ValueError(f"there is no background group {name!r}{hint}; the groups are {', '.join(GROUPS)}")
    return GROUPS[name]
