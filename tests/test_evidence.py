"""What is asked of a reader, as it comes out of Redis."""

import json
from dataclasses import replace

import pytest

from xclip_stream.errors import DecodeError
from xclip_stream.evidence import EvidenceRequest, evidence_name

REQUEST = EvidenceRequest(
    event_id="0" * 32,
    source_id="yard",
    rule_id="climbing",
    prompt="a person climbing",
    peak_score=0.9,
    begins_at=100.0,
    peak_at=102.0,
    ends_at=None,
    name=evidence_name("yard", "0" * 32, start_time=100.0),
)


@pytest.mark.parametrize("source_id", ["yard", "gate.2", "..", "a/b", "süd"])
def test_a_request_comes_back_as_it_was(source_id: str) -> None:
    request = replace(REQUEST, name=evidence_name(f"{source_id}!", "0" * 32, start_time=100.0))

    assert EvidenceRequest.decode(request.encode()) == request


@pytest.mark.parametrize(
    "name",
    [
        "/etc/cron.d/2024-05-01/x",
        "/tmp/picture",
        "../2024-05-01/x",
        "yard/2024-05-01/../../../x",
        "yard/../x",
        "yard/2024-05-01/..",
        "yard/2024-05-01/x\0",
        "yard/2024-05-01/x\n",
        f"yard/2024-05-01/{'x' * 300}",
        f"{'x' * 300}/2024-05-01/x",
        "",
    ],
)
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(DecodeError, match="its name is not that of a source"):
        EvidenceRequest.decode(replace(REQUEST, name=name).encode())


@pytest.mark.parametrize("key", ["begins_at", "peak_at", "ends_at"])
@pytest.mark.parametrize("time", [1e300, -1e300, float("inf"), float("nan")])
def test_a_time_that_no_calendar_has_is_refused(key: str, time: float) -> None:
    with pytest.raises(DecodeError, match="this is no evidence"):
        EvidenceRequest.decode(REQUEST.encode().replace(json.dumps(getattr(REQUEST, key)).encode(), b"%r" % time))
