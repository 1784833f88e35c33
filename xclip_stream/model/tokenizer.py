"""CLIP's tokenizer: byte-level byte-pair encoding of lower-cased text. Imports no torch."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from xclip_stream.errors import CheckpointError, PromptError
from xclip_stream.model.configuration import read_json_object
from xclip_stream.model.locate import Checkpoint

START, END = "<|startoftext|>", "<|endoftext|>"

# Words keep their English endings apart, digits come one by one.
_PIECES = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


@dataclass(frozen=True, slots=True)
class PromptTokenizer:
    """Turns prompts into ids between a start and an end token, at most `max_tokens` of them, both included."""

    tokenizer: Tokenizer
    max_tokens: int
    pad_token: str = END

    @property
    def pad_id(self) -> int:
        return self._id_of(self.pad_token)

    @property
    def size(self) -> int:
        """One more than the largest id."""
        return 1 + max(self.tokenizer.get_vocab().values())

    def encode(self, prompts: Sequence[str], *, truncation: bool = False) -> list[list[int]]:
        """Return the ids of each prompt, not padded.

        Raises PromptError naming the first prompt that is too long, unless `truncation` may cut its words off; the end
        token stays in any case.
        """
        encodings = self.tokenizer.encode_batch(list(prompts))
        return [self._fitted(prompt, e.ids, truncation) for prompt, e in zip(prompts, encodings, strict=True)]

    def _fitted(self, prompt: str, ids: list[int], truncation: bool) -> list[int]:
        if len(ids) <= self.max_tokens:
            return ids
        if not truncation:
            raise PromptError(
                f"prompt {_shortened(prompt)!r} has {len(ids)} tokens, the model takes {self.max_tokens}: shorten it"
            )
        return [*ids[: self.max_tokens - 1], ids[-1]]

    def _id_of(self, token: str) -> int:
        number: int | None = self.tokenizer.token_to_id(token)
        if number is None:
            raise CheckpointError(f"the tokenizer's vocabulary has no {token}")
        return number

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint, *, max_tokens: int) -> Self:
        """Read `tokenizer.json`, or else `vocab.json` and `merges.txt`; `max_tokens` is what the model has room for."""
        path = checkpoint.require("tokenizer.json", "vocab.json")
        tokenizer = _read_tokenizer(path) if path.name == "tokenizer.json" else _build_tokenizer(path, checkpoint)
        settings = _settings(checkpoint)
        limit = settings.get("model_max_length")
        limit = min(max_tokens, limit) if isinstance(limit, int | float) else max_tokens
        made = cls(tokenizer, max_tokens=int(limit), pad_token=_pad_token(settings))
        try:
            made._check()
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}") from None
        return made

    def save_pretrained(self, folder: str | Path) -> None:
        """Write `tokenizer.json` and `tokenizer_config.json`."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        self.tokenizer.save(str(Path(folder) / "tokenizer.json"))
        settings = {
            "tokenizer_class": "CLIPTokenizer",
            "model_max_length": self.max_tokens,
            "bos_token": START,
            "eos_token": END,
            "pad_token": self.pad_token,
            "unk_token": END,
        }
        text = json.dumps(settings, indent=2, sort_keys=True)
        (Path(folder) / "tokenizer_config.json").write_text(text + "\n", encoding="utf-8")

    def _check(self) -> None:
        """The text tower reads a prompt at the largest of its ids, which therefore must be the end token's."""
        start, end = self._id_of(START), self._id_of(END)
        self._id_of(self.pad_token)
        if end != self.size - 1:
            raise CheckpointError(f"{END} must have the largest id of the vocabulary, {self.size - 1}, not {end}")
        ids = self.tokenizer.encode("a").ids
        if ids[:1] != [start] or ids[-1:] != [end]:
            raise CheckpointError(f"the tokenizer does not put a prompt between {START} and {END}")


def clip_tokenizer(vocabulary: dict[str, int], merges: list[tuple[str, str]]) -> Tokenizer:
    """Build CLIP's tokenizer around a vocabulary, whose words end in `</w>`, and its merges, most frequent first."""
    for token in (START, END):
        if token not in vocabulary:
            raise CheckpointError(f"the tokenizer's vocabulary has no {token}")
    model = models.BPE(
        vocab=vocabulary,
        merges=merges,
        continuing_subword_prefix="",
        end_of_word_suffix="</w>",
        unk_token=END,
        fuse_unk=False,
    )
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([START, END])
    tokenizer.post_processor = processors.RobertaProcessing(
        (END, vocabulary[END]), (START, vocabulary[START]), trim_offsets=False, add_prefix_space=False
    )
    return tokenizer


def _read_tokenizer(path: Path) -> Tokenizer:
    read_json_object(path)  # an unreadable file gets the same message as any other
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # noqa: BLE001  # the Rust library raises bare Exception for any wrong content
        raise CheckpointError(f"{path}: is not a tokenizer: {error}") from None
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _build_tokenizer(vocabulary_path: Path, checkpoint: Checkpoint) -> Tokenizer:
    vocabulary, merges = read_json_object(vocabulary_path), _read_merges(checkpoint.require("merges.txt"))
    try:
        return clip_tokenizer(vocabulary, merges)
    except CheckpointError as error:
        raise CheckpointError(f"{vocabulary_path}: {error}") from None
    except Exception as error:  # noqa: BLE001  # as above, for a merge that the vocabulary does not have
        raise CheckpointError(f"{vocabulary_path}: makes no tokenizer with its merges.txt: {error}") from None


def _read_merges(path: Path) -> list[tuple[str, str]]:
    """Read `merges.txt`: a version line, then one pair a line."""
    merges: list[tuple[str, str]] = []
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read: {error}") from None
    for number, line in enumerate(text.splitlines(), start=1):
        if not line or line.startswith("#version"):
            continue
        match line.split(" "):
            case [left, right]:
                merges.append((left, right))
            case _:
                raise CheckpointError(f"{path}:{number}: a merge must be two pieces and a space, not {line!r}")
    return merges


def _settings(checkpoint: Checkpoint) -> dict[str, Any]:
    path = checkpoint.find("tokenizer_config.json")
    return read_json_object(path) if path is not None else {}


def _pad_token(settings: dict[str, Any]) -> str:
    """The padding token: a string in later files, an object around it in earlier ones."""
    match settings.get("pad_token"):
        case str(token) | {"content": str(token)}:
            return token
        case _:
            return END


def _shortened(prompt: str) -> str:
    return prompt if len(prompt) <= 60 else f"{prompt[:57]}…"
