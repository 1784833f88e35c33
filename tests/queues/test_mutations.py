"""The properties of the queue can fail: each guard of the Lua scripts is missed by one of them when it is gone."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis.stateful import run_state_machine_as_test as run_machine

from tests.mutations import HUNT, Mutation
from tests.queues.test_model import QueueModel
from tests.queues.test_twins import Twins
from tests.redis_servers import RedisServer
from xclip_stream.queues import redis_connection

SCRIPTS = Path(redis_connection.__file__).parent
NOT_ACKNOWLEDGED = "if redis.call('XACK', windows, group, id) == 0 then"
ACKNOWLEDGED_ANYWAY = "redis.call('XACK', windows, group, id)\nif false then"

MISSED_BY_THE_MODEL = [
    Mutation("publish_scores", NOT_ACKNOWLEDGED, ACKNOWLEDGED_ANYWAY),
    Mutation("bury_window", NOT_ACKNOWLEDGED, ACKNOWLEDGED_ANYWAY),
    Mutation("functions", "if seq < next_seq then return 'already_done', next_seq end"),
    Mutation("functions", "if seq > next_seq then return 'rewind', next_seq end"),
    Mutation("functions", "if record[3] == '1' then return 'stale', next_seq end"),
    Mutation("functions", "return record[2] == run", "return true"),
    Mutation("functions", "if record[1] == epoch and record[2] == run then", "if true then"),
    Mutation("begin_epoch", "if current and current ~= epoch and ended ~= '1' then", "if false then"),
    Mutation("add_window", "tonumber(record[1]) >= max_waiting", "false"),
    Mutation("replay_letter", "remove_letter(dead, counters, id, tonumber(letter[2][2]))"),
    Mutation("replay_letter", "if source then count_window(", "if false then count_window("),
    Mutation("forget_source", "redis.call('XDEL', scores, unpack(ARGV, i, math.min(i + at_once - 1, #ARGV)))"),
    Mutation("commit", "redis.call('XDEL', scores, argument())", "argument()"),
]
MISSED_BY_THE_TWIN = [
    Mutation("forget_source", "'DEL', source, lease, history", "'DEL', source, history"),
    Mutation("renew_lease", "if lease_token(lease) ~= token then return 0 end"),
    Mutation("add_window", "(bytes > 0 and bytes + #frames > max_bytes)", "false"),
    Mutation("add_window", "redis.call('XLEN', scores) >= max_scores", "false"),
    Mutation("functions", "if token < newest then return 'stale', 0 end"),
    Mutation("functions", "if token > newest or record[1] ~= epoch then return 'rewind', 0 end"),
    Mutation("begin_epoch", "if tonumber(token) < newest then return {'stale'} end"),
    Mutation("acquire_lease", "if held_by and held_by ~= holder then return {0, 0} end"),
    Mutation("release_lease", "if lease_token(KEYS[1]) == ARGV[1] then", "if true then"),
    Mutation("leave_ingest", "if lease_holder(KEYS[i]) == worker then", "if true then"),
    Mutation("join_ingest", "if redis.call('EXISTS', KEYS[i]) == 0 then", "if true then"),
    Mutation(
        "hold_windows", "if #redis.call('XPENDING', stream, group, id, id, 1, consumer) == 1 then", "if true then"
    ),
    Mutation("take_messages", "if held_by and held_by ~= holder then return false end"),
    Mutation("commit", "if lease_token(lease) ~= token then return -1 end"),
    Mutation("commit", "if record[2] == commit_id then return stored end"),
    Mutation("forget_sink", "if redis.call('EXISTS', lease) == 1 then return -1 end"),
    Mutation("settle_message", "redis.call('XDEL', KEYS[1], ARGV[1])"),
    Mutation(
        "functions",
        "if tonumber(redis.call('HGET', counters, 'dead_bytes') or '0') + bytes > room then",
        "if false then",
    ),
    Mutation("functions", "while redis.call('XLEN', dead) > length do", "while false do"),
]


@pytest.fixture
def queue_without(monkeypatch: pytest.MonkeyPatch) -> Callable[[Mutation], None]:
    """Let every queue from now on have the scripts of a mutation."""

    def mutate(mutation: Mutation) -> None:
        def script_text(name: str) -> str:
            texts = {file: (SCRIPTS / f"{file}.lua").read_text() for file in ("functions", name)}
            return "".join(mutation.of(text) if file == mutation.file else text for file, text in texts.items())

        monkeypatch.setattr(redis_connection, "_script_text", script_text)

    return mutate


@pytest.mark.parametrize("mutation", MISSED_BY_THE_MODEL, ids=str)
def test_the_model_does_not_accept_a_queue_without(
    mutation: Mutation, queue_without: Callable[[Mutation], None], servers: dict[str, RedisServer]
) -> None:
    queue_without(mutation)

    with pytest.raises(AssertionError):
        run_machine(type("MutantOfTheModel", (QueueModel,), {"server": servers["7"]}), settings=HUNT)


@pytest.mark.parametrize("mutation", MISSED_BY_THE_TWIN, ids=str)
def test_the_queue_in_memory_is_no_twin_of_one_without(
    mutation: Mutation, queue_without: Callable[[Mutation], None], servers: dict[str, RedisServer]
) -> None:
    queue_without(mutation)

    with pytest.raises(AssertionError):
        run_machine(type("MutantTwins", (Twins,), {"server": servers["7"]}), settings=HUNT)
