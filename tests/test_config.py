"""The configuration: what a good one means, and the sentences that a bad one gives."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from xclip_stream.config import GROUPS, Config, check_geometry, expand, literal, load_config, read_config
from xclip_stream.errors import ConfigError
from xclip_stream.types import WHOLE_FRAME, Region

ROOT = Path(__file__).resolve().parents[1]
GOOD = """\
sources:
  - id: yard
    url: rtsp://bob:${CAM_PASSWORD}@10.0.0.5/stream1?token=abc
    regions: {gate: [0.5, 0.2, 1.0, 0.9], door: [0, 0, 0.2, 0.4]}
  - id: film
    url: films/yard.mp4
    start_time: 2024-05-01T20:00:00+02:00
rules:
  - id: climbing
    sources: [yard]
    regions: [gate, frame]
    prompts: [a person climbing over a fence]
    background: [an empty yard, a person walking]
  - id: fight
    prompts: [two people fighting]
    background: [an empty yard]
    sinks: []
sinks:
  - {id: console, type: console}
  - {id: ops, type: webhook, url: "https://example.org/hook/xyz", secret: whsec_c2VjcmV0, headers: {X-Key: topsecret}}
"""
ENVIRON = {"CAM_PASSWORD": "hunter22"}
FOLDER = Path("/etc/site")


def read(text: str, environ: Mapping[str, str] = ENVIRON) -> Config:
    return read_config(text, name="site.yaml", folder=FOLDER, environ=environ)


def complaints(text: str, environ: Mapping[str, str] = ENVIRON) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(text, environ)
    return str(caught.value).splitlines()


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


# ------------------------------------------------------------------------------------------------- what it means


def test_what_is_not_said_has_its_default() -> None:
    config = read(GOOD)

    assert config.model.checkpoint == "microsoft/xclip-base-patch32"
    assert (config.sources[0].window.span_s, config.sources[0].window.stride_s) == (4.0, 1.0)
    assert (config.rules[0].enter, config.rules[0].exit) == (0.6, 0.4)
    assert (config.queue.max_bytes, config.queue.file_windows) == (None, 8)
    assert config.redis.url is None


@pytest.mark.parametrize(("said", "meant"), [("off", "off"), ("false", "off"), ("aggressive", "aggressive")])
def test_off_means_off_also_where_another_reader_of_yaml_has_made_false_of_it(said: str, meant: str) -> None:
    config = read(changed("- id: yard\n", f"- id: yard\n    idle: {said}\n"))

    assert (config.sources[0].idle, read(GOOD).sources[0].idle) == (meant, "conservative")


def test_a_file_is_never_idle() -> None:
    text = changed("url: films/yard.mp4\n", "url: films/yard.mp4\n    idle: aggressive\n")

    assert complaints(text) == ["site.yaml:7:11: sources[1].idle: is for live sources; this one is a file"]


def test_prompts_of_a_source_are_those_of_its_rules_each_once_in_order() -> None:
    config = read(GOOD)

    assert config.prompts_of("yard") == (
        "a person climbing over a fence",
        "an empty yard",
        "a person walking",
        "two people fighting",
    )
    assert config.prompts_of("film") == ("two people fighting", "an empty yard")


def test_rules_of_a_source_are_those_that_watch_it() -> None:
    config = read(GOOD)

    assert [rule.id for rule in config.rules_of("yard")] == ["climbing", "fight"]
    assert [rule.id for rule in config.rules_of("film")] == ["fight"]


def test_a_rule_for_all_sources_watches_those_that_have_its_region() -> None:
    config = read(changed("sources: [yard]\n    regions: [gate, frame]", "regions: [gate]"))

    assert "climbing" in {rule.id for rule in config.rules_of("yard")}
    assert "climbing" not in {rule.id for rule in config.rules_of("film")}


def test_regions_of_a_source_are_those_that_rules_look_at() -> None:
    config = read(GOOD)

    assert config.regions_of("yard") == (Region(WHOLE_FRAME), Region("gate", 0.5, 0.2, 1.0, 0.9))
    assert config.regions_of("film") == (Region(WHOLE_FRAME),)


def test_a_rule_goes_to_all_sinks_or_to_its_own_or_to_none() -> None:
    config = read(GOOD)

    assert config.sinks_of(config.rules[0]) == ("console", "ops")
    assert config.sinks_of(config.rules[1]) == ()


def test_paths_start_at_the_folder_of_the_file() -> None:
    config = read(GOOD + "  - {id: log, type: jsonl, path: out/events.jsonl}\nredis: {dir: state}\n")

    assert config.sources[1].url.get_secret_value() == "/etc/site/films/yard.mp4"
    assert config.sinks[2].path == FOLDER / "out/events.jsonl"
    assert config.redis.dir == FOLDER / "state"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("demo", "demo"),
        ("microsoft/xclip-base-patch16", "microsoft/xclip-base-patch16"),
        ("./mine", "/etc/site/mine"),
        ("/models/mine", "/models/mine"),
    ],
)
def test_a_checkpoint_is_a_folder_where_it_looks_like_one(written: str, meant: str) -> None:
    assert read(GOOD + f"model: {{checkpoint: {written}}}\n").model.checkpoint == meant


def test_event_time_of_a_file_begins_with_its_start_time() -> None:
    config = read(GOOD)

    assert config.sources[1].start_unix_s == 1714586400.0
    assert not config.sources[1].live


def test_a_rule_without_a_background_gets_the_default_group() -> None:
    config = read(changed("    background: [an empty yard]\n", ""))

    assert config.rules[1].background == GROUPS["default"]


def test_groups_are_replaced_by_their_prompts_and_leave_out_what_the_rule_looks_for() -> None:
    text = changed("background: [an empty yard]", "background: [group:street, my own, group:street]")
    config = read(text.replace("two people fighting", "A  person crossing the road"))

    assert config.rules[1].background == (
        *(prompt for prompt in GROUPS["street"] if prompt != "a person crossing the road"),
        "my own",
    )


@pytest.mark.parametrize("name", ["street", "group:street"])
def test_a_group_alone_needs_no_list(name: str) -> None:
    assert read(changed("background: [an empty yard]", f"background: {name}")).rules[1].background == GROUPS["street"]


def test_a_prompt_of_the_background_counts_once_whatever_its_case() -> None:
    config = read(changed("[an empty yard, a person walking]", "[An empty Yard, an empty yard, group:outdoors]"))

    assert config.rules[0].background == ("An empty Yard", *GROUPS["outdoors"][1:])


def test_a_rule_that_looks_for_all_of_a_group_has_no_background() -> None:
    text = changed("[two people fighting]", f"[{', '.join(GROUPS['street'])}]")

    assert "rules[1].background: is empty" in complaints(text.replace("[an empty yard]", "street"))[0]


def test_every_group_has_distinct_prompts() -> None:
    for prompts in GROUPS.values():
        assert 8 <= len(prompts) == len({prompt.casefold() for prompt in prompts})


@pytest.mark.parametrize("days", ["mon-fri", "[mon, tue-fri]", '"mon,tue-fri"'])
def test_times_of_a_schedule_need_no_quotes(days: str) -> None:
    schedule = f"    schedule: {{days: {days}, from: 20:00, to: 6:30, timezone: Europe/Berlin}}\n"
    config = read(changed("    sinks: []\n", schedule))

    assert config.rules[1].schedule is not None
    built = config.rules[1].schedule.build()
    assert built.days == frozenset(range(5))
    assert (built.opens.hour, built.closes.minute) == (20, 30)


def test_text_from_the_environment_is_a_number_where_one_is_wanted() -> None:
    config = read(GOOD + "model: {batch_size: '${BATCH}', device: '${DEVICE:-cpu}'}\n", {**ENVIRON, "BATCH": "16"})

    assert (config.model.batch_size, config.model.device) == (16, "cpu")


def test_a_secret_comes_from_a_file_without_its_last_line_break(tmp_path: Path) -> None:
    (tmp_path / "ops").write_text("whsec_c2VjcmV0\n")

    config = read(changed("secret: whsec_c2VjcmV0", f'secret: "${{file:{tmp_path}/ops}}"'))

    sink = config.sinks[1]
    assert sink.type == "webhook"
    assert sink.secret is not None
    assert sink.secret.get_secret_value() == "whsec_c2VjcmV0"


def test_a_secret_comes_from_a_credential_of_the_service(tmp_path: Path) -> None:
    (tmp_path / "ops").write_text("whsec_c2VjcmV0\n")

    config = read(
        changed("secret: whsec_c2VjcmV0", 'secret: "${credential:ops}"'),
        {**ENVIRON, "CREDENTIALS_DIRECTORY": str(tmp_path)},
    )

    sink = config.sinks[1]
    assert sink.type == "webhook"
    assert sink.secret is not None
    assert sink.secret.get_secret_value() == "whsec_c2VjcmV0"


def test_a_text_outside_of_a_file_has_the_same_references(tmp_path: Path) -> None:
    (tmp_path / "redis").write_text("hunter22\n")

    url = expand(f"redis://:${{file:{tmp_path}/redis}}@${{HOST:-localhost}}/0", environ={"HOST": "queue"})

    assert url == "redis://:hunter22@queue/0"
    with pytest.raises(ConfigError, match=r"^cannot read /no/such: No such file or directory$"):
        expand("redis://:${file:/no/such}@queue")


@given(st.text())
def test_a_literal_text_stays_what_it_is(written: str) -> None:
    assert expand(literal(written), environ={}) == written


def test_a_doubled_dollar_is_a_plain_one() -> None:
    assert read(changed("a person walking", "'costs $${5} and $5'")).rules[0].background[1] == "costs ${5} and $5"


def test_anchors_and_merges_work() -> None:
    text = changed("background: [an empty yard, a person walking]", "background: &usual [an empty yard]")
    config = read(text.replace("background: [an empty yard]\n    sinks", "background: *usual\n    sinks"))

    assert config.rules[1].background == ("an empty yard",)


def test_a_merged_mapping_loses_to_its_own_keys() -> None:
    config = read(
        changed("id: yard\n", "id: yard\n    window: &usual {span_s: 2, stride_s: 0.5}\n").replace(
            "id: film\n", "id: film\n    window: {<<: *usual, stride_s: 1}\n"
        )
    )

    assert (config.sources[1].window.span_s, config.sources[1].window.stride_s) == (2.0, 1.0)


# ---------------------------------------------------------------------------------------------------- frozen, hash


def test_nothing_can_be_changed() -> None:
    config = read(GOOD)

    with pytest.raises(ValidationError):
        config.rules[0].enter = 0.9  # type: ignore[misc] # that is the test


def test_the_hash_knows_neither_secrets_nor_folders_nor_queues() -> None:
    usual = read(GOOD).config_hash

    assert len(usual) == 16
    assert read(GOOD, {"CAM_PASSWORD": "other"}).config_hash == usual
    assert read_config(GOOD, name="x", folder=Path("/elsewhere"), environ=ENVIRON).config_hash == usual
    assert read(GOOD + "queue: {max_age_s: 3}\nredis: {namespace: b}\n").config_hash == usual


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("two people fighting", "two people dancing"),
        ("0.9]", "0.8]"),
        ("sinks: []", "enter: 0.61"),
        ("10.0.0.5", "10.0.0.6"),
        ("films/yard.mp4", "films/gate.mp4"),
        ("T20:00", "T21:00"),
    ],
)
def test_the_hash_knows_what_decides_events(old: str, new: str) -> None:
    assert read(changed(old, new)).config_hash != read(GOOD).config_hash


# ---------------------------------------------------------------------------------------------------------- errors

BAD = [
    ("sources:", "sorces:", "1:1: sorces: unknown key, did you mean 'sources'?"),
    ("    sinks: []", "    cooldown: 3", "17:5: rules[1].cooldown: unknown key, did you mean 'cooldown_s'?"),
    ("id: film", "id: yard", "5:9: sources[1].id: 'yard' is the id of sources[0] already"),
    ("id: fight", "id: climbing", "14:9: rules[1].id: 'climbing' is the id of rules[0] already"),
    ("id: ops", "id: console", "20:10: sinks[1].id: 'console' is the id of sinks[0] already"),
    ("[yard]", "[yrd]", "10:15: rules[0].sources[0]: there is no source 'yrd', did you mean 'yard'?"),
    ("sinks: []", "sinks: [opps]", "17:13: rules[1].sinks[0]: there is no sink 'opps', did you mean 'ops'?"),
    ("[gate, frame]", "[gat]", "11:15: rules[0].regions[0]: source yard: no region 'gat', did you mean 'gate'?"),
    ("[two people fighting]", "[]", "15:14: rules[1].prompts: is empty: it needs at least one"),
    ("[two people fighting]", "['  ']", "15:15: rules[1].prompts[0]: is an empty prompt"),
    ("id: fight", "id: a b", "14:9: rules[1].id: must be a name of at most 64 letters"),
    ("id: fight", "id: 7", "14:9: rules[1].id: must be text; put it in quotes"),
    ("    prompts: [two people fighting]\n", "", "14:5: rules[1].prompts: is missing"),
    ("[an empty yard]", "[]", "16:17: rules[1].background: is empty: with nothing to compare to"),
    (
        "[an empty yard]",
        "group:stret",
        "rules[1].background: there is no background group 'stret', did you mean 'street'",
    ),
    ("[an empty yard]", "[street]", "16:17: rules[1].background: 'street' is the name of a group: write group:street"),
    (
        "[two people fighting]",
        "[a fight, A  Fight]",
        "15:14: rules[1].prompts: has 'A Fight' more than once: the model does not tell capitals",
    ),
    ("[two people fighting]", "[group:street]", "rules[1].prompts: has 'group:street': groups are for background"),
    ("[gate, frame]", "[gate, '']", "11:14: rules[0].regions: has an empty name: the whole picture is called 'frame'"),
    ("sources:\n", "version: '1'\nsources:\n", "1:10: version: must be a number; leave out the quotes"),
    ("type: console", "type: mqtt, url: mqtt://h, protocol: 5", "protocol: must be text; put it in quotes"),
    (
        "[an empty yard]",
        "[Two people  fighting]",
        "rules[1].background: 'Two people  fighting' is a prompt of this rule",
    ),
    ("sinks: []", "enter: 0.3", "14:5: rules[1].exit: must be less than enter (0.3); it is 0.4 where nothing is given"),
    ("sinks: []", "exit: 0.6", "17:11: rules[1].exit: must be less than enter (0.6)"),
    ("sinks: []", "enter: 1.5", "17:12: rules[1].enter: must be at most 1"),
    ("sinks: []", "enter: .nan", "17:12: rules[1].enter: must be a finite number"),
    ("sinks: []", "enter: high", "17:12: rules[1].enter: must be a number"),
    ("sinks: []", "min_duration_s: 400", "rules[1].min_duration_s: must be less than max_duration_s (300)"),
    ("sinks: []", "severity: crit", "must be info, warning or critical, did you mean 'critical'?"),
    ("sinks: []", "prompts: [x]", "17:5: rules[1].prompts: is there twice"),
    ("sinks: []", "? [a]\n    : 3", "a key must be text"),
    ("sinks: []", "schedule: {from: 20:00}", "17:15: rules[1].schedule.timezone: is missing"),
    (
        "sinks: []",
        "schedule: {from: 25:00, timezone: UTC}",
        "17:22: rules[1].schedule.from: '25:00' is not a time of day",
    ),
    ("sinks: []", "schedule: {days: mon-fry, timezone: UTC}", "17:22: rules[1].schedule.days: 'mon-fry' is no day"),
    ("sinks: []", "schedule: {timezone: Europe/Berln}", "rules[1].schedule.timezone: 'Europe/Berln' is no time zone"),
    ("2024-05-01T20:00:00+02:00", "2024-05-01T20:00:00", "7:17: sources[1].start_time: needs a time zone"),
    ("2024-05-01T20:00:00+02:00", "12", "7:17: sources[1].start_time: must be a time with its zone"),
    ("2024-05-01T20:00:00+02:00", "0001-01-01T00:00:00+02:00", "7:17: sources[1].start_time: must be a time of the y"),
    ("0.9]", "1.9]", "4:21: sources[0].regions.gate: must be fractions of the frame"),
    ("0.9]", "0.1]", "4:21: sources[0].regions.gate: is empty: write [x0, y0, x1, y1]"),
    ("0.9]", "0.1, 7]", "4:21: sources[0].regions.gate: has more than 4 entries"),
    ("{gate:", "{frame:", "the name 'frame' stands for the whole picture"),
    (
        "rtsp://",
        "rstp://",
        "3:10: sources[0].url: must start with rtsp://, rtsps://, http:// or https://, did you mean",
    ),
    ("rtsp://", "", "3:10: sources[0].url: looks like an address without its scheme"),
    ("10.0.0.5", "", "3:10: sources[0].url: is not a valid URL"),
    ("films/yard.mp4", "v4l2:///dev/video0?rate=5", "6:10: sources[1].url: has no option 'rate'"),
    ("films/yard.mp4", "''", "6:10: sources[1].url: is empty"),
    ("films/yard.mp4", "~nobody-here/a.mp4", "6:10: sources[1].url: begins with ~, and there is no such home folder"),
    ("type: console", "type: jsonl, path: ~a.jsonl", "19:38: sinks[0].path: begins with ~, and there is no such home"),
    ("start_time: 2024-05-01T20:00:00+02:00", "transport: udp", "7:16: sources[1].transport: is for live sources"),
    ("id: yard", "realtime: true\n    id: yard", "2:15: sources[0].realtime: is for files"),
    ("type: console", "type: consol", "19:25: sinks[0].type: must be console, jsonl, redis, webhook, mqtt"),
    (", type: console", "", "19:5: sinks[0]: type is missing"),
    ("type: console", "type: console, colour: 1", "19:34: sinks[0].colour: unknown key"),
    ("https://example", "ftp://example", "20:35: sinks[1].url: must start with http:// or https://"),
    ("whsec_c2VjcmV0", "whsec_!", "sinks[1].secret: must have base64 after whsec_"),
    ("whsec_c2VjcmV0", '""', "sinks[1].secret: is empty"),
    ("X-Key", "'X Key'", "sinks[1].headers: 'X Key' is not the name of a header"),
    ("topsecret", '"a\\nb"', "sinks[1].headers: the value of 'X-Key' has a line break"),
    ("${CAM_PASSWORD}", "${NOPE}", "3:10: sources[0].url: the environment variable NOPE is not set"),
    ("${CAM_PASSWORD}", "${CAM_PASSWORD", "3:10: sources[0].url: has a ${ without its }"),
    ("[two people fighting]", "['${{X}}']", "15:15: rules[1].prompts[0]: has a ${ without its }"),
    ("${CAM_PASSWORD}", "${A:-${CAM_PASSWORD}}", "3:10: sources[0].url: has a ${ without its }, or one inside another"),
    ("${CAM_PASSWORD}", "${a b}", "3:10: sources[0].url: ${a b} is not understood"),
    ("${CAM_PASSWORD}", "${file:/no/such}", "3:10: sources[0].url: cannot read /no/such: No such file or directory"),
    ("${CAM_PASSWORD}", "${credential:cam}", "3:10: sources[0].url: ${credential:cam} is for services of systemd"),
    ("sources:\n", "sources: 3\nx:\n", "1:10: sources: must be a list"),
    ("rules:\n", "rules:\nx:\n", "8:7: rules: must be a list"),
    ("sinks: []", "<<: quiet", "17:9: rules[1].<<: must be a mapping, or a list of mappings"),
    ("sinks: []", "<<: [{enter: 0.9}, quiet]", "17:24: rules[1].<<: must be a mapping, or a list of mappings"),
    ("sinks: []", "enter: !!int high", "17:12: rules[1].enter: is not what its tag !!int says"),
    ("sinks: []", "enter: !!float 0,7", "17:12: rules[1].enter: is not what its tag !!float says"),
    ("type: console", "type: mqtt, url: mqtt://h, onvif: !!bool yes", "onvif: is not what its tag !!bool says"),
    ("id: yard\n", "id: yard\n    window: 4\n", "3:13: sources[0].window: must be a mapping"),
]


@pytest.mark.parametrize(("old", "new", "sentence"), BAD, ids=[new.strip() or f"no {old}" for old, new, _ in BAD])
def test_a_mistake_is_told_in_a_sentence_with_its_place(old: str, new: str, sentence: str) -> None:
    lines = complaints(GOOD.replace(old, new, 1) if old in GOOD else pytest.fail(old))

    assert any(sentence in line for line in lines), lines
    assert all(line.startswith("site.yaml:") for line in lines)


def test_a_schedule_over_a_file_without_a_start_time_is_refused() -> None:
    text = changed("    start_time: 2024-05-01T20:00:00+02:00\n", "")

    lines = complaints(text.replace("sinks: []", "schedule: {timezone: UTC}"))

    assert lines == [
        "site.yaml:16:15: rules[1].schedule: needs to know when the file was recorded: give source film a start_time"
    ]


def test_every_mistake_is_told_at_once_in_the_order_of_the_file() -> None:
    text = changed("[yard]", "[yrd]").replace("id: film", "id: yard").replace("sinks: []", "enter: 7\n    sinks: [x]")

    lines = complaints(text)

    assert [line.split(": ")[1] for line in lines] == [
        "sources[1].id",
        "rules[0].sources[0]",
        "rules[1].enter",
        "rules[1].sinks[0]",
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "site.yaml:1:1: is empty"),
        ("# nothing\n", "site.yaml:1:1: is empty"),
        ("a: [1", "is not YAML"),
        ("a: 1\n\tb: 2", "(indent with blanks, not tabs)"),
        ("a: b: c", "site.yaml:1:5: is not YAML"),
        ("- 1", "site.yaml:1:1: must be a mapping"),
        ("a: 1\n---\nb: 2", "is not YAML"),
        ("a: \x00", "site.yaml:1:4: is not YAML"),
        ("a: !!python/object/apply:os.system [x]", "unknown key"),
        ("a: &a [*a]", "site.yaml:1:4: aliases that never end"),
        ("a: &a {<<: *a}", "site.yaml:1:4: aliases that never end"),
        ("a: &a {<<: &b {<<: *a}}", "aliases that never end"),
        ("a: *b", "site.yaml:1:4: is not YAML: found undefined alias"),
        ("[" * 5000, "site.yaml:1:1: is nested too deeply"),
        ("labels: " + "[" * 180 + "]" * 180, "is nested too deeply"),
        ("version: 99999999999999999999999999999999999999999999999", "version: must be 1"),
    ],
)
def test_what_is_no_configuration_at_all_is_told_too(text: str, sentence: str) -> None:
    assert any(sentence in line for line in complaints(text))


def test_aliases_cannot_make_a_small_file_huge() -> None:
    laughs = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))

    assert "aliases that never end" in complaints(laughs)[0]


def test_a_folder_a_missing_file_and_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00\xd8")

    for name, sentence in {".": "is a folder", "none": "cannot be read: No such", "binary": "not a text"}.items():
        with pytest.raises(ConfigError, match=sentence):
            load_config(tmp_path / name)


def test_the_window_has_to_fit_the_frames_of_the_checkpoint() -> None:
    config = read(changed("id: film\n", "id: film\n    window: {stride_s: 0.7}\n"))

    check_geometry(read(GOOD), 8)
    with pytest.raises(ConfigError) as caught:
        check_geometry(config, 8)

    assert str(caught.value).startswith("source film: window: stride_s 0.7")
    assert "the nearest is 0.5" in str(caught.value)


# --------------------------------------------------------------------------------------------------------- secrets


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("id: fight", "id: ${CAM_PASSWORD}!"),
        ("[yard]", "['${CAM_PASSWORD}']"),
        ("sinks: []", "sinks: ['${CAM_PASSWORD}']"),
        ("sinks: []", "severity: ${CAM_PASSWORD}"),
        ("sinks: []", "schedule: {timezone: '${CAM_PASSWORD}'}"),
        ("sinks: []", "schedule: {days: 'mon-${CAM_PASSWORD}', timezone: UTC}"),
        ("[an empty yard]", "['group:${CAM_PASSWORD}']"),
        ("[an empty yard]", "['${CAM_PASSWORD}']\n    enter: ${CAM_PASSWORD}"),
        ("two people fighting", "'${CAM_PASSWORD}', '${CAM_PASSWORD}'"),
        ("type: console", "type: '${CAM_PASSWORD}'"),
        ("rtsp://bob:", "${CAM_PASSWORD}://"),
        ("10.0.0.5", "10.0.0.5:${CAM_PASSWORD}"),
        ("2024-05-01T20:00:00+02:00", "${CAM_PASSWORD}"),
    ],
)
def test_no_error_shows_what_came_from_the_environment(old: str, new: str) -> None:
    lines = complaints(changed(old, new))

    assert lines
    assert "hunter22" not in "\n".join(lines)


def test_a_url_that_is_wrong_is_not_quoted() -> None:
    assert "hunter22" not in "\n".join(
        complaints(changed("rtsp://bob:${CAM_PASSWORD}@10.0.0.5", "rstp://b:hunter22@x"))
    )


def test_a_configuration_does_not_print_its_secrets() -> None:
    shown = f"{read(GOOD)!r} {read(GOOD)} {read(GOOD).model_dump_json()} {read(GOOD).sources[0].shown_url}"

    for secret in ("hunter22", "whsec_c2VjcmV0", "topsecret", "abc"):
        assert secret not in shown


def test_of_thousands_of_names_that_lead_nowhere_each_is_told_and_the_first_with_what_is_near() -> None:
    sources = "".join(f"  - {{id: cam-{number}, url: {number}.mp4}}\n" for number in range(2000))
    rule = f"  - {{id: r, prompts: [a], background: [b], sources: [{', '.join(f'kam-{i}' for i in range(2000))}]}}\n"

    with pytest.raises(ConfigError) as caught:
        read(f"sources:\n{sources}rules:\n{rule}")

    assert str(caught.value).count("there is no source 'kam-") == 2000
    assert str(caught.value).count("did you mean 'cam-") == 100


def test_it_knows_its_secrets_so_that_logs_can_mask_them() -> None:
    config = read(GOOD, {"CAM_PASSWORD": "p%40ss-word"})

    assert set(config.secret_values()) == {"p%40ss-word", "p@ss-word", "whsec_c2VjcmV0", "topsecret"}


SINKS_WITH_SECRETS = """
  - {id: home, type: mqtt, url: "mqtt://user-1:pass-1@broker"}
  - {id: lake, type: kafka, servers: ["a:9092"], topic: t, user: user-2, password: pass-2}
  - {id: stream, type: nats, servers: ["nats://user-3:pass-3@a", "nats://user-3:pass-3@b"]}
  - {id: mail, type: email, url: "smtps://user-4:pass-4@host", from: a@b, to: [c@d]}
  - {id: phone, type: apprise, url: "slack://TokenTokenA/TokenTokenB/TokenTokenC/#general"}
"""


def test_the_secrets_of_every_sink_are_known_and_not_shown_where_it_goes() -> None:
    config = read(GOOD + SINKS_WITH_SECRETS.lstrip("\n"))

    secrets = {f"pass-{number}" for number in range(1, 5)} | {f"TokenToken{letter}" for letter in "ABC"}
    shown = f"{config!r} {[sink.place for sink in config.sinks]} {config.model_dump_json()}"
    assert secrets <= set(config.secret_values())
    assert [secret for secret in secrets if secret in shown] == []


BAD_SINKS = [
    ("type: mqtt, url: 'mqtt://a', tls: {ca_file: x}", "tls is for a url that begins with mqtts"),
    ("type: mqtt, url: 'mqtt://a', prefix: 'a/#'", "prefix: must be letters, digits"),
    ("type: kafka, servers: [a], topic: t", "servers[0]: must be host:port"),
    ("type: kafka, servers: ['a:1'], topic: a/b", "topic: is a topic of Kafka, which has no slashes"),
    ("type: kafka, servers: ['a:1'], topic: t, user: u", "user and password belong together"),
    ("type: nats, servers: ['nats://u:p@a', 'nats://u:q@b']", "the servers of one cluster take the same login"),
    ("type: nats, servers: ['http://a']", "servers[0]: must start with nats:// or tls://"),
    ("type: email, url: 'smtp://a', from: a, to: [c@d]", "from: must be an address like"),
    ("type: apprise, url: ntfy", "url: must be a URL of apprise"),
    ("type: exec, command: []", "command: is empty"),
]


@pytest.mark.parametrize(("sink", "sentence"), BAD_SINKS)
def test_a_mistake_in_a_sink_is_told_in_a_sentence(sink: str, sentence: str) -> None:
    (line,) = complaints(f"{GOOD}  - {{id: new, {sink}}}\n")

    assert sentence in line


# ------------------------------------------------------------------------------------------------------ as a whole


def test_the_example_is_valid_and_names_every_key() -> None:
    config = load_config(ROOT / "configs" / "example.yaml")
    written = yaml.safe_load((ROOT / "configs" / "example.yaml").read_text())

    def missing(model: object, values: object) -> set[str]:
        fields = type(model).model_fields  # type: ignore[attr-defined] # every section is a pydantic model
        return {field.alias or name for name, field in fields.items()} - set(values)  # type: ignore[call-overload]

    retry = {"first_delay_s", "max_delay_s", "max_attempts", "max_age_s"}
    yard, recording = written["sources"]
    assert missing(config, written) == set()
    for section in ("model", "redis", "queue"):
        assert missing(getattr(config, section), written[section]) == set()
    assert missing(config.sources[0], {**yard, **recording}) == set()
    assert missing(config.sources[0].window, yard["window"]) == set()
    assert missing(config.rules[0], written["rules"][0]) == set()
    assert missing(config.rules[0].schedule, written["rules"][0]["schedule"]) == set()
    for sink, values in zip(config.sinks, written["sinks"], strict=True):
        assert missing(sink, values) - retry == set()
    assert retry <= set(written["sinks"][-1])


def test_loading_imports_nothing_heavy() -> None:
    code = (
        "import sys; from xclip_stream.config import load_config; load_config(sys.argv[1]);"
        "print(*sorted({'torch', 'av', 'redis', 'httpx', 'typer'} & set(sys.modules)))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, str(ROOT / "configs" / "example.yaml")],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )

    assert done.stdout.strip() == ""


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["id", "url", "sources", "rules", "sinks", "type", "schedule", "x"]), inner
            )
        ),
        max_leaves=12,
    )
)
def test_whatever_the_values_are_there_is_a_sentence(values: object) -> None:
    with pytest.raises(ConfigError, match=r"site\.yaml:\d+:\d+: "):
        read(yaml.safe_dump(values))


@settings(deadline=None)
@given(st.text(max_size=60))
def test_whatever_the_text_is_there_is_a_sentence(text: str) -> None:
    with pytest.raises(ConfigError, match=r"site\.yaml:\d+:\d+: "):
        read(text)


def test_the_redis_is_addressed_with_the_files_for_tls_of_its_section() -> None:
    config = read(GOOD + "redis: {url: 'rediss://u:p%40ss@h', tls: {ca_file: ca.pem}}\n")

    ca_file = str(FOLDER / "ca.pem").replace("/", "%2F")
    assert config.redis.address(instead=None) == f"rediss://u:p%40ss@h?ssl_ca_certs={ca_file}"
    assert config.redis.address(instead="rediss+cluster://a,b") == f"rediss+cluster://a,b?ssl_ca_certs={ca_file}"
    assert config.redis.address(instead="unix:///run/r.sock") == "unix:///run/r.sock"
    assert read(GOOD).redis.address(instead=None) is None


@pytest.mark.parametrize(
    ("section", "trouble"),
    [
        ("{url: 'redis://h', tls: {ca_file: ca.pem}}", "begins with rediss"),
        ("{url: 'rediss://h', tls: {key_file: key.pem}}", "give cert_file too"),
        ("{url: 'redis+sentinel://u:hunter2@a,b'}", "must name the service"),
        ("{url: 'rediss://h', tls: {verify: false}}", "verify"),
    ],
)
def test_a_redis_section_that_cannot_work_is_an_error(section: str, trouble: str) -> None:
    with pytest.raises(ConfigError, match=trouble) as refused:
        read(GOOD + f"redis: {section}\n")

    assert "hunter2" not in str(refused.value)


def test_every_password_of_a_redis_url_is_a_secret() -> None:
    config = read(GOOD + "redis: {url: 'redis+sentinel://u:p%40ss@a,[::1]:5/main?sentinel_password=q%26a'}\n")

    assert {"p%40ss", "p@ss", "q%26a", "q&a"} <= set(config.secret_values())


def test_a_device_is_a_live_source(tmp_path: Path) -> None:
    text = "sources: [{id: desk, url: /dev/video0}]\nrules: [{id: r, prompts: [x]}]\n"

    (source,) = read_config(text, name="site.yaml", folder=tmp_path).sources

    assert source.live
    assert source.shown_url == "v4l2:///dev/video0"
