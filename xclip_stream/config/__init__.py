"""The configuration: `load_config` reads a YAML file into one frozen `Config`, or says everything that is wrong."""

from xclip_stream.config.backgrounds import DEFAULT_GROUP, GROUPS
from xclip_stream.config.document import expand, literal
from xclip_stream.config.effective import effective_yaml
from xclip_stream.config.evidence import EvidenceConfig
from xclip_stream.config.load import load_config, read_config
from xclip_stream.config.parts import (
    ModelConfig,
    QueueConfig,
    RedisConfig,
    RuleConfig,
    ScheduleConfig,
    SourceConfig,
    WindowConfig,
)
from xclip_stream.config.sinks import SinkConfig
from xclip_stream.config.viewing import HistoryConfig, WebConfig, is_loopback, split_address
from xclip_stream.config.watch import ConfigWatch
from xclip_stream.config.whole import Config, check_geometry

__all__ = [
    "DEFAULT_GROUP",
    "GROUPS",
    "Config",
    "ConfigWatch",
    "EvidenceConfig",
    "HistoryConfig",
    "ModelConfig",
    "QueueConfig",
    "RedisConfig",
    "RuleConfig",
    "ScheduleConfig",
    "SinkConfig",
    "SourceConfig",
    "WebConfig",
    "WindowConfig",
    "check_geometry",
    "effective_yaml",
    "expand",
    "is_loopback",
    "literal",
    "load_config",
    "read_config",
    "split_address",
]
