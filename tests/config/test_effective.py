"""The configuration as it is shown: with every default, without a secret, and still a configuration."""

from pathlib import Path

import pytest

from xclip_stream.config import Config, effective_yaml, load_config, read_config
from xclip_stream.config.document import HIDDEN
from xclip_stream.errors import ConfigError

EXAMPLE = Path(__file__).resolve().parents[2] / "configs" / "example.yaml"
SECRETS = {"CAM_USER": "spy", "CAM_PASSWORD": "hunter22", "WEBHOOK_SECRET": "topsecret", "WEB": "w" * 20, "SITE": "x"}
SITE = """\
redis: {url: "rediss://me:pass-word@queue:6379/0", tls: {ca_file: ca.pem}}
web: {listen: "0.0.0.0:8080", token: "${WEB}"}
sources:
  - {id: yard, url: "rtsp://${CAM_USER}:${CAM_PASSWORD}@10.0.0.5/live?key=abc"}
  - {id: film, url: film.mp4, start_time: "2024-05-01T20:00:00+02:00"}
rules:
  - {id: climb, prompts: [a person climbing], regions: [frame], schedule: {from: "20:00", timezone: UTC}}
sinks:
  - {id: ops, type: webhook, url: "https://u:p@example.org/hook", secret: "${WEBHOOK_SECRET}", headers: {X: tokentoken}}
  - {id: chat, type: webhook, url: "https://chat.example.org/services/T0K3N"}
  - {id: phone, type: apprise, url: "slack://TokenA/TokenB/TokenC"}
"""


def read(text: str, *, blind: bool = False) -> Config:
    return read_config(text, name="site.yaml", folder=Path("/etc/site"), environ=SECRETS, blind=blind)


def test_it_reads_as_the_same_configuration() -> None:
    config = read(SITE)

    assert read(effective_yaml(config)).config_hash == config.config_hash


def test_the_example_reads_as_the_same_configuration() -> None:
    config = load_config(EXAMPLE)

    again = read_config(effective_yaml(config), name="shown", folder=EXAMPLE.parent)

    assert again.config_hash == config.config_hash


def test_what_it_is_reads_as_itself() -> None:
    once = effective_yaml(read(SITE))

    assert effective_yaml(read(once)) == once


def test_what_people_look_for_comes_first() -> None:
    shown = effective_yaml(read(SITE))

    sections = [line.partition(":")[0] for line in shown.splitlines() if line[0].isalpha()]

    assert sections[:4] == ["version", "rules", "sources", "sinks"]
    assert {"model", "redis", "queue", "web"} < set(sections)
    assert len(sections) == len(set(sections))


@pytest.mark.parametrize(
    "secret",
    ["spy", "hunter22", "topsecret", "pass-word", "tokentoken", "w" * 20, "abc", "u:p@", "T0K3N", "TokenA", "TokenC"],
)
def test_no_secret_is_in_it(secret: str) -> None:
    assert secret not in effective_yaml(read(SITE))


def test_a_blind_reading_looks_nothing_up(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter22")
    text = SITE.replace("${CAM_PASSWORD}", f"${{file:{tmp_path}/secret}}").replace("[a person climbing]", "['${SITE}']")

    config = read(text, blind=True)

    assert config.rules[0].prompts == (HIDDEN,)
    assert "hunter22" not in config.sources[0].url.get_secret_value()
    assert read(text.replace("${SITE}", "${MISSING:-a person}"), blind=True).rules[0].prompts == ("a person",)


@pytest.mark.parametrize(
    ("web", "why"),
    [
        ("{listen: '0.0.0.0:8080'}", "web: 0.0.0.0:8080 can be reached from other machines: set web.token"),
        ("{listen: '8080'}", "web.listen: must be HOST:PORT, like 127.0.0.1:8080"),
        ("{token: short}", "web.token: is too short: it needs at least 16 characters"),
    ],
)
def test_a_dashboard_for_everybody_has_to_be_meant(web: str, why: str) -> None:
    text = SITE.replace('{listen: "0.0.0.0:8080", token: "${WEB}"}', web)

    with pytest.raises(ConfigError, match=why):
        read(text)


@pytest.mark.parametrize("web", ["{}", "{listen: '[::1]:0'}", "{listen: '0.0.0.0:80', insecure: true}"])
def test_a_dashboard_for_this_machine_needs_no_token(web: str) -> None:
    read(SITE.replace('{listen: "0.0.0.0:8080", token: "${WEB}"}', web))


def test_a_password_that_is_a_key_or_a_word_of_the_configuration_hides_neither() -> None:
    def hide(text: str) -> str:
        for password in ("secret", "webhook", "climbing"):
            text = text.replace(password, "***")
        return text

    shown = effective_yaml(read(SITE), hide=hide)

    assert "  type: webhook\n" in shown
    assert f"  secret: '{HIDDEN}'" in shown
    assert "- a person ***\n" in shown
