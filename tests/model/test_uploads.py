import numpy as np
import pytest
import torch

from tests.model.lazy_device import AT_LAST, LazyDevice
from xclip_stream.model.uploads import Uploads

CPU = torch.device("cpu")
SHAPE = (2, 4, 4, 3)


def clips(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *SHAPE), dtype=np.uint8)


def passed_through(uploads: Uploads, batches: list[np.ndarray]) -> list[torch.Tensor]:
    """What whoever computes on the device sees of each batch."""
    seen = [torch.empty(batch.shape, dtype=torch.uint8) for batch in batches]
    for batch, place in zip(batches, seen, strict=True):
        with uploads.sent(batch) as pixels:
            place.copy_(pixels)
        batch[:] = 0  # the caller's memory is its own again
    return seen


def test_on_a_cpu_clips_come_as_they_are():
    batches = [clips(count, seed) for seed, count in enumerate((2, 1, 3, 3, 1))]
    expected = [batch.copy() for batch in batches]

    seen = passed_through(Uploads(CPU, SHAPE), batches)

    for whole, found in zip(expected, seen, strict=True):
        assert np.array_equal(found.numpy(), whole)


@pytest.mark.parametrize("seed", [AT_LAST, *range(1, 21)])
def test_no_buffer_is_written_again_before_it_was_read_however_late_a_device_is(seed):
    device = LazyDevice(seed=seed)
    batches = [clips(1 + number % 3, number) for number in range(9)]
    expected = [batch.copy() for batch in batches]

    with device:
        seen = passed_through(Uploads(CPU, SHAPE, api=device), batches)
        device.synchronize()

    for whole, found in zip(expected, seen, strict=True):
        assert np.array_equal(found.numpy(), whole)


def test_such_a_device_shows_what_a_missing_wait_does():
    device = LazyDevice(heeds_waits=False)
    batches = [clips(2, number) for number in range(9)]
    expected = [batch.copy() for batch in batches]

    with device:
        seen = passed_through(Uploads(CPU, SHAPE, api=device), batches)
        device.synchronize()

    assert not all(np.array_equal(found.numpy(), whole) for whole, found in zip(expected, seen, strict=True))


def test_buffers_are_kept_and_grow_with_what_is_asked_for():
    uploads = Uploads(CPU, SHAPE)
    places = []
    for count in (3, 3, 2, 3):
        with uploads.sent(clips(count, 0)) as pixels:
            places.append(pixels.data_ptr())

    assert places[2:] == places[:2]
    with uploads.sent(clips(5, 0)) as pixels:
        assert len(pixels) == 5


def test_after_a_release_there_are_new_ones():
    uploads = Uploads(CPU, SHAPE)
    with uploads.sent(clips(2, 0)):
        pass
    uploads.release()
    batch = clips(2, 1)

    with uploads.sent(batch) as pixels:
        assert np.array_equal(pixels.numpy(), batch)


def test_the_device_goes_on_after_a_computation_that_failed():
    uploads = Uploads(CPU, SHAPE)
    for _ in range(3):
        with pytest.raises(RuntimeError, match="no"), uploads.sent(clips(1, 0)):
            raise RuntimeError("no")
    batch = clips(1, 1)

    with uploads.sent(batch) as pixels:
        assert np.array_equal(pixels.numpy(), batch)


def out_of_memory(*_shape: object, **_options: object) -> torch.Tensor:
    raise torch.OutOfMemoryError("CUDA out of memory")


def test_a_buffer_for_which_there_is_no_memory_is_made_at_the_next_call(monkeypatch):
    uploads = Uploads(CPU, SHAPE)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "empty", out_of_memory)
        with pytest.raises(torch.OutOfMemoryError), uploads.sent(clips(1, 0)):
            pass
    batch = clips(1, 1)

    with uploads.sent(batch) as pixels:
        assert np.array_equal(pixels.numpy(), batch)
