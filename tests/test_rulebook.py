"""The rules of a configuration as they are kept, and as anybody may have written them."""

import pytest

from tests.score_builders import rule
from xclip_stream.rulebook import encode_rules, find_rule


def test_a_rule_is_found_by_its_id():
    rulebook = encode_rules([rule("climbing", sinks=("ops",)), rule("falling")])

    found = find_rule(rulebook, "climbing")

    assert found is not None
    assert (found["rule_id"], found["sinks"]) == ("climbing", ["ops"])
    assert find_rule(rulebook, "running") is None


ODD = [b"", b"\xff", b"5", b"null", b"{}", b"[1]", b'[{"rule_id": "climbing"}]', b"[" * 100_000]


@pytest.mark.parametrize("body", ODD)
def test_in_what_is_no_rulebook_nothing_is_found(body):
    assert find_rule(body, "climbing") is None
