"""The model as the pipeline sees it: windows and prompts in, logits out, and errors that a loop can act on."""

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch

from xclip_stream.errors import ScorerBroken, ScorerOutOfMemory, ScoringError, XclipStreamError
from xclip_stream.model.backends import BackendName, Dtype
from xclip_stream.model.gpu_memory import gpu_memory_bytes
from xclip_stream.model.scorer import ClipFeatures, PromptFeatures, Scorer
from xclip_stream.model.torch_errors import first_line, translated
from xclip_stream.processors import processor_limit
from xclip_stream.protocols import ClipRequest
from xclip_stream.types import Logits

_GPU_PARTS = 2
"""A batch on a GPU has so many parts that are computed together: while one is, the other goes up."""
_GPU_CALL_PAIRS = 4096
"""To match clips with a list of prompts, a GPU needs as long for starting the kernels as for so many pairs more."""

RowsByPrompts = Mapping[tuple[str, ...], Mapping[int, range]]
"""For each list of prompts the requests that ask for it, and the rows of their clips in the batch."""


class BatchScorer:
    """Scores the windows of a batch together: all their regions go through the vision tower at once.

    The features of each list of prompts are computed once and kept; when more than `max_prompt_lists` are kept, the
    one that was not used for the longest time goes.

    Args:
        on_progress: called before each part of a batch.
        call_pairs: how many more pairs of a clip and a prompt are rather computed than one more list of prompts by
            itself; None takes what suits the device. On a CPU that is none.
    """

    def __init__(
        self,
        scorer: Scorer,
        *,
        max_prompt_lists: int = 256,
        on_progress: Callable[[], None] | None = None,
        call_pairs: int | None = None,
    ) -> None:
        self._scorer = scorer
        self._on_progress = on_progress
        self._max_prompt_lists = max_prompt_lists
        usual = _GPU_CALL_PAIRS if scorer.device.type == "cuda" else 0
        self._call_pairs = usual if call_pairs is None else call_pairs
        self._encoded: OrderedDict[tuple[str, ...], PromptFeatures] = OrderedDict()

    @classmethod
    def from_checkpoint(
        cls,
        checkpoint: str | Path,
        *,
        prompt_lists: Iterable[tuple[str, ...]],
        revision: str | None = None,
        device: str = "auto",
        dtype: Dtype = "auto",
        backend: BackendName = "auto",
        quantised: Path | None = None,
        threads: int | None = None,
        on_progress: Callable[[], None] | None = None,
    ) -> Self:
        """Read a checkpoint and encode the lists of prompts that it is going to be asked about.

        `threads` is how many the model uses on the CPU, in the whole process; None takes what torch would, and no more
        than the quota of the process allows.

        Raises:
            CheckpointError: the checkpoint cannot be read.
            ConfigError: the device or the backend is not there.
            PromptError: a prompt is too long.
            ScoringError: the memory of the device does not suffice, or a prompt has no finite features.
            ScorerBroken: the device is lost to this process, or has no memory left for the prompts.
        """
        if threads is None and (limit := processor_limit()) is not None:
            threads = min(torch.get_num_threads(), limit)
        if threads is not None:
            torch.set_num_threads(threads)
        try:
            model = Scorer.from_checkpoint(
                checkpoint, revision=revision, device=device, dtype=dtype, backend=backend, quantised=quantised
            )
            scorer = cls(model, on_progress=on_progress)
            scorer.prepare(prompt_lists)
        except (RuntimeError, MemoryError) as error:
            raise translated(error) from error
        return scorer

    @property
    def name(self) -> str:
        return self._scorer.name

    @property
    def sha256(self) -> str:
        return self._scorer.sha256

    @property
    def summary(self) -> str:
        """What computes, where and how, for the log."""
        return self._scorer.summary

    def prepare(self, prompt_lists: Iterable[tuple[str, ...]]) -> None:
        """Encode the lists of prompts that are going to be asked about, and make room for all of them.

        Raises:
            PromptError: a prompt is too long.
            ScoringError: the model gives no finite features for one.
            ScorerBroken: memory does not suffice for them, or the device is lost to this process.
        """
        distinct = {prompts for prompts in prompt_lists if prompts}
        self._max_prompt_lists = max(self._max_prompt_lists, len(distinct))
        for prompts in distinct:
            self._prepare(prompts)

    def _prepare(self, prompts: tuple[str, ...]) -> None:
        """Encode prompts; where memory does not suffice, once more when what is only kept to be fast is given back."""
        try:
            self.encode(prompts)
        except (RuntimeError, MemoryError) as error:
            failure = translated(error)
        else:
            return
        failure = self._with_room(failure)
        if not isinstance(failure, ScorerOutOfMemory):
            raise failure
        try:
            self.encode(prompts)
        except (RuntimeError, MemoryError) as error:
            raise ScorerBroken(f"no memory for {len(prompts)} prompts: {first_line(error)}") from error

    @property
    def usual_batch_size(self) -> int:
        """How many windows to score at a time; one where clips go through the model one by one anyway."""
        return self._scorer.clips_at_once * (_GPU_PARTS if self._scorer.device.type == "cuda" else 1)

    def memory_bytes(self) -> Mapping[str, int]:
        """Return the memory of the GPU by state, or nothing where none is used; see `gpu_memory_bytes`."""
        return gpu_memory_bytes(self._scorer.device)

    def encode(self, prompts: tuple[str, ...]) -> PromptFeatures:
        """Return the features of `prompts`, computed at the first call.

        Raises:
            PromptError: one of them is too long.
            ScoringError: the model gives no finite features for one of them.
        """
        if prompts not in self._encoded:
            self._encoded[prompts] = self._scorer.encode_prompts(prompts)
            if len(self._encoded) > self._max_prompt_lists:
                self._encoded.popitem(last=False)
        self._encoded.move_to_end(prompts)
        return self._encoded[prompts]

    def score(self, requests: Sequence[ClipRequest]) -> list[Logits]:
        """Score a batch: for each request float32 logits of shape (R, K). No prompts at all cost no model time.

        Raises:
            ScorerOutOfMemory: a smaller batch may fit.
            ScorerBroken: the device is lost to this process.
            ScoringError: a window is not what the checkpoint takes, or its logits are not finite.
        """
        self._check_shapes(requests)
        try:
            return self._score(requests)
        except XclipStreamError:
            raise
        except (RuntimeError, MemoryError) as error:
            failure = translated(error)
        # Outside the handler nothing holds the failed batch's tensors any more, so that their memory can be given back.
        raise self._with_room(failure)

    def _with_room(self, failure: ScoringError | ScorerBroken) -> ScoringError | ScorerBroken:
        """Make room for a smaller batch where one did not fit; return what then is to be raised."""
        if isinstance(failure, ScorerOutOfMemory):
            try:
                self._scorer.release()
            except RuntimeError as error:
                return translated(error)
        return failure

    def _check_shapes(self, requests: Sequence[ClipRequest]) -> None:
        wanted = self._scorer.geometry
        for request in requests:
            num_frames, height, width = request.frames.shape[1:4]
            if (num_frames, height, width) != (wanted.num_frames, wanted.image_px, wanted.image_px):
                raise ScoringError(
                    f"the window has {num_frames} frames of {width}×{height} px, but checkpoint {self.name} takes "
                    f"{wanted.num_frames} of {wanted.image_px}×{wanted.image_px} px: ingest and score workers must "
                    "have the same model.checkpoint"
                )

    def _score(self, requests: Sequence[ClipRequest]) -> list[Logits]:
        logits = [np.zeros((len(request.frames), len(request.prompts)), np.float32) for request in requests]
        asking = [index for index, request in enumerate(requests) if request.prompts]
        if not asking:
            return logits
        frames = np.concatenate([requests[index].frames for index in asking])
        clips = self._scorer.encode_clips(frames, on_progress=self._on_progress)
        lists = _rows_by_prompts(requests, asking)
        match = self._match_together if self._are_better_together(len(clips), lists) else self._match_apart
        for index, found in match(clips, lists):
            logits[index] = found
        return logits

    def _are_better_together(self, clips: int, lists: RowsByPrompts) -> bool:
        """Whether all clips are rather matched with all prompts than each list with its own clips."""
        distinct = {prompt for prompts in lists for prompt in prompts}
        apart = sum(len(prompts) * sum(map(len, rows.values())) for prompts, rows in lists.items())
        return len(lists) > 1 and clips * len(distinct) <= apart + self._call_pairs * (len(lists) - 1)

    def _match_apart(self, clips: ClipFeatures, lists: RowsByPrompts) -> Iterator[tuple[int, Logits]]:
        """Yield each request's logits."""
        for prompts, rows in lists.items():
            found = self._scorer.logits(clips, [row for part in rows.values() for row in part], self.encode(prompts))
            ends = np.cumsum([len(part) for part in rows.values()])
            yield from zip(rows, np.split(found, ends[:-1]), strict=True)

    def _match_together(self, clips: ClipFeatures, lists: RowsByPrompts) -> Iterator[tuple[int, Logits]]:
        """Yield the same with one call of the model."""
        joined = self._joined(lists)
        column = {prompt: number for number, prompt in enumerate(joined.prompts)}
        found = self._scorer.logits(clips, None, joined)
        for prompts, rows in lists.items():
            columns = [column[prompt] for prompt in prompts]
            for index, part in rows.items():
                yield index, found[part.start : part.stop, columns]

    @torch.inference_mode()
    def _joined(self, lists: Iterable[tuple[str, ...]]) -> PromptFeatures:
        """Return the features of all distinct prompts of some lists."""
        encoded = [self.encode(prompts) for prompts in lists]
        row: dict[str, int] = {}
        for number, prompt in enumerate(prompt for each in encoded for prompt in each.prompts):
            row.setdefault(prompt, number)
        return PromptFeatures(tuple(row), torch.cat([each.features for each in encoded])[list(row.values())])


def _rows_by_prompts(requests: Sequence[ClipRequest], asking: Sequence[int]) -> RowsByPrompts:
    """Return, for each list of prompts, the requests that ask for it and the rows of their clips in the batch."""
    rows: dict[tuple[str, ...], dict[int, range]] = defaultdict(dict)
    start = 0
    for index in asking:
        end = start + len(requests[index].frames)
        rows[requests[index].prompts][index] = range(start, end)
        start = end
    return rows
