from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.tiny_checkpoint import write_tiny_checkpoint
from xclip_stream.errors import PromptError, ScorerBroken, ScorerOutOfMemory, ScoringError
from xclip_stream.model import Scorer
from xclip_stream.model.batch_scorer import BatchScorer
from xclip_stream.protocols import ClipRequest

WALK = ("a person walks", "an empty yard")
FALL = ("a person falls", "an empty yard", "a person walks")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Scorer:
    folder: Path = write_tiny_checkpoint(tmp_path_factory.mktemp("tiny"))
    return Scorer.from_checkpoint(folder, device="cpu")


@pytest.fixture
def scorer(model: Scorer) -> BatchScorer:
    return BatchScorer(model)


def frames(seed: int, *, regions: int = 1, num_frames: int = 4, image_px: int = 32) -> np.ndarray:
    shape = (regions, num_frames, image_px, image_px, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def test_a_batch_of_mixed_regions_and_prompts_gives_what_each_window_gives_alone(model, scorer):
    requests = [
        ClipRequest(frames=frames(1), prompts=WALK),
        ClipRequest(frames=frames(2, regions=3), prompts=FALL),
        ClipRequest(frames=frames(3, regions=2), prompts=WALK),
    ]

    together = scorer.score(requests)

    assert [logits.shape for logits in together] == [(1, 2), (3, 3), (2, 2)]
    for request, logits in zip(requests, together, strict=True):
        for region, found in zip(request.frames, logits, strict=True):
            alone = model.logits(model.encode_clips(region[None]), None, model.encode_prompts(request.prompts))
            np.testing.assert_allclose(found, alone[0], rtol=1e-4, atol=1e-5)


def test_logits_are_float32_and_belong_to_the_prompts_in_their_order(scorer):
    turned = scorer.score([ClipRequest(frames=frames(1), prompts=WALK[::-1])])[0]
    straight = scorer.score([ClipRequest(frames=frames(1), prompts=WALK)])[0]

    assert straight.dtype == np.float32
    np.testing.assert_allclose(turned[:, ::-1], straight, rtol=1e-4)


def test_a_window_without_prompts_has_no_logits_and_is_not_encoded(scorer):
    request = ClipRequest(frames=frames(1, regions=2), prompts=())

    assert [logits.shape for logits in scorer.score([request])] == [(2, 0)]
    assert [logits.shape for logits in scorer.score([request, ClipRequest(frames(2), WALK)])] == [(2, 0), (1, 2)]


def test_the_features_of_prompts_are_computed_once_and_the_longest_unused_go_first(model):
    scorer = BatchScorer(model, max_prompt_lists=2)
    first, second = scorer.encode(("first",)), scorer.encode(("second",))

    assert scorer.encode(("first",)) is first
    scorer.encode(("third",))
    assert scorer.encode(("first",)) is first
    assert scorer.encode(("second",)) is not second


@pytest.mark.parametrize(("num_frames", "image_px"), [(8, 32), (4, 48)])
def test_a_window_of_another_shape_is_refused_with_both_shapes(scorer, num_frames, image_px):
    request = ClipRequest(frames=frames(1, num_frames=num_frames, image_px=image_px), prompts=WALK)

    with pytest.raises(ScoringError, match=rf"has {num_frames} frames of {image_px}×{image_px} px.* 4 of 32×32 px"):
        scorer.score([request])


def test_a_prompt_that_is_too_long_is_named(scorer):
    with pytest.raises(PromptError, match="aaaa"):
        scorer.encode(("a" * 100,))


def test_a_model_that_gives_nan_is_a_scoring_error(tmp_path):
    model = Scorer.from_checkpoint(write_tiny_checkpoint(tmp_path), device="cpu")
    with torch.no_grad():
        model.model.mit.position_embedding.fill_(float("nan"))

    with pytest.raises(ScoringError, match="finite"):
        BatchScorer(model).score([ClipRequest(frames(1), WALK)])


def test_a_batch_that_does_not_fit_into_memory_says_so(model, scorer, monkeypatch):
    monkeypatch.setattr(Scorer, "encode_clips", lambda self, clips, on_progress: torch.empty(10**15))

    with pytest.raises(ScorerOutOfMemory, match="memory"):
        scorer.score([ClipRequest(frames(1), WALK)])


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), ScorerOutOfMemory),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"), ScorerOutOfMemory),
        (torch.AcceleratorError("CUDA error: out of memory\nmore"), ScorerOutOfMemory),
        (RuntimeError('NVML_SUCCESS == r INTERNAL ASSERT FAILED at "CUDACachingAllocator.cpp":995'), ScorerOutOfMemory),
        (RuntimeError("CUDA driver error: out of memory"), ScorerOutOfMemory),
        (RuntimeError("CUDA driver error: an illegal memory access was encountered"), ScorerBroken),
        (torch.AcceleratorError("CUDA error: an illegal memory access was encountered\nmore"), ScorerBroken),
        (RuntimeError("CUDA error: device-side assert triggered"), ScorerBroken),
        (RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling cublasSgemm"), ScorerBroken),
        (RuntimeError("The size of tensor a (3) must match the size of tensor b (4)"), ScoringError),
    ],
)
def test_errors_of_the_device_become_what_a_loop_can_act_on(scorer, monkeypatch, error, expected):
    def fail(self: Scorer, clips: object, on_progress: object) -> None:
        raise error

    monkeypatch.setattr(Scorer, "encode_clips", fail)

    with pytest.raises((ScoringError, ScorerBroken)) as caught:
        scorer.score([ClipRequest(frames(1), WALK)])
    assert type(caught.value) is expected
    assert "\n" not in str(caught.value)


def mixed_requests() -> list[ClipRequest]:
    return [
        ClipRequest(frames=frames(1), prompts=WALK),
        ClipRequest(frames=frames(2, regions=3), prompts=FALL),
        ClipRequest(frames=frames(3), prompts=()),
        ClipRequest(frames=frames(4, regions=2), prompts=WALK),
        ClipRequest(frames=frames(5), prompts=("a cat", "an empty yard")),
    ]


def test_lists_of_prompts_that_are_matched_in_one_call_give_what_each_gives_by_itself(model, monkeypatch):
    apart = BatchScorer(model).score(mixed_requests())
    calls: list[int] = []
    plain = Scorer.logits

    def counted(self: Scorer, *args: Any, **options: Any) -> Any:
        calls.append(1)
        return plain(self, *args, **options)

    monkeypatch.setattr(Scorer, "logits", counted)
    together = BatchScorer(model, call_pairs=1000).score(mixed_requests())

    assert len(calls) == 1
    for one, other in zip(apart, together, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-5)


def test_a_call_more_is_made_where_it_spares_more_pairs_than_it_costs(model, monkeypatch):
    calls: list[tuple[str, ...]] = []
    plain = Scorer.logits

    def noted(self: Scorer, clips: Any, rows: Any, prompts: Any) -> Any:
        calls.append(prompts.prompts)
        return plain(self, clips, rows, prompts)

    monkeypatch.setattr(Scorer, "logits", noted)
    # Apart: 3×2 + 3×3 + 1×2 = 17 pairs in three calls. Together: 7×4 = 28 in one.
    BatchScorer(model, call_pairs=5).score(mixed_requests())
    assert calls == [WALK, FALL, ("a cat", "an empty yard")]
    calls.clear()

    BatchScorer(model, call_pairs=6).score(mixed_requests())

    assert calls == [("a person walks", "an empty yard", "a person falls", "a cat")]


def test_where_a_batch_did_not_fit_what_was_kept_is_given_back(model, scorer, monkeypatch):
    released: list[bool] = []
    monkeypatch.setattr(type(model.backend), "release", lambda self: released.append(True))

    def fail(self: Scorer, clips: object, on_progress: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Scorer, "encode_clips", fail)
    with pytest.raises(ScorerOutOfMemory):
        scorer.score([ClipRequest(frames(1), WALK)])

    assert released == [True]


def test_a_device_that_is_lost_while_memory_is_given_back_is_told(model, scorer, monkeypatch):
    def lost(self: object) -> None:
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered\nmore")

    def fail(self: Scorer, clips: object, on_progress: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(type(model.backend), "release", lost)
    monkeypatch.setattr(Scorer, "encode_clips", fail)

    with pytest.raises(ScorerBroken, match="illegal memory access"):
        scorer.score([ClipRequest(frames(1), WALK)])


def full(times: int) -> Any:
    """The encoding of prompts on a device that has no memory for it, so many times."""
    plain, failures = Scorer.encode_prompts, iter([torch.OutOfMemoryError("CUDA out of memory. Tried\nmore")] * times)

    def encode(self: Scorer, prompts: Any) -> Any:
        for failure in failures:
            raise failure
        return plain(self, prompts)

    return encode


def test_prompts_for_which_there_was_no_memory_are_encoded_when_there_is_room(model, scorer, monkeypatch):
    released: list[bool] = []
    monkeypatch.setattr(type(model.backend), "release", lambda self: released.append(True))
    monkeypatch.setattr(Scorer, "encode_prompts", full(1))

    scorer.prepare([WALK])

    assert released == [True]
    assert scorer.encode(WALK).prompts == WALK


def test_prompts_for_which_there_is_no_memory_end_the_worker_and_are_not_taken_for_bad_ones(scorer, monkeypatch):
    monkeypatch.setattr(Scorer, "encode_prompts", full(2))

    with pytest.raises(ScorerBroken, match=r"no memory for 2 prompts: CUDA out of memory\. Tried") as caught:
        scorer.prepare([WALK])
    assert "\n" not in str(caught.value)


def test_a_device_that_is_lost_while_prompts_change_is_told_in_one_line(scorer, monkeypatch):
    def fail(self: Scorer, prompts: object) -> None:
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered\nmore")

    monkeypatch.setattr(Scorer, "encode_prompts", fail)

    with pytest.raises(ScorerBroken, match=r"^the device failed: CUDA error: .* encountered$"):
        scorer.prepare([WALK])


@pytest.mark.parametrize(
    ("error", "expected", "message"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried\nmore"), ScorerOutOfMemory, "CUDA out of memory. Tried"),
        (torch.AcceleratorError("CUDA error: no kernel image\nmore"), ScorerBroken, "the device failed: CUDA error"),
    ],
)
def test_a_device_that_fails_while_the_model_is_loaded_is_told_in_one_line(monkeypatch, error, expected, message):
    def fail(*_args: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr(Scorer, "from_checkpoint", fail)

    with pytest.raises(expected, match=message) as caught:
        BatchScorer.from_checkpoint("demo", prompt_lists=[])
    assert "\n" not in str(caught.value)
