"""A small CLIP tokenizer made from the demo's own prompts."""

import json
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from tokenizers.decoders import ByteLevel as ByteLevelDecoder

START, END, WORD_END = "<|startoftext|>", "<|endoftext|>", "</w>"
CONTEXT = 77

_SPLIT = r"""<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"""


def train_tokenizer(sentences: tuple[str, ...], *, vocabulary: int) -> Tokenizer:
    """Learn a byte-level BPE of about `vocabulary` tokens with CLIP's conventions.

    Every byte is a token, so any text can be encoded; the end token has the largest id, which is where CLIP reads.
    """
    learned = _clip_shell(models.BPE(end_of_word_suffix=WORD_END, unk_token=END))
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, end_of_word_suffix=WORD_END, initial_alphabet=_alphabet(), show_progress=False
    )
    learned.train_from_iterator(sentences, trainer)
    merges = [tuple(pair) for pair in json.loads(learned.to_str())["model"]["merges"]]
    letters = _alphabet()
    tokens = [*letters, *(letter + WORD_END for letter in letters), *("".join(pair) for pair in merges), START, END]
    vocab = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
    tokenizer = _clip_shell(models.BPE(vocab, merges, end_of_word_suffix=WORD_END, unk_token=END))
    tokenizer.add_special_tokens([START, END])
    tokenizer.post_processor = processors.RobertaProcessing(
        (END, vocab[END]), (START, vocab[START]), trim_offsets=False, add_prefix_space=False
    )
    return tokenizer


def _alphabet() -> list[str]:
    return sorted(pre_tokenizers.ByteLevel.alphabet())


def _clip_shell(model: models.BPE) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_SPLIT), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = ByteLevelDecoder()
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Write tokenizer.json, vocab.json, merges.txt, tokenizer_config.json and special_tokens_map.json."""
    tokenizer.save(str(folder / "tokenizer.json"))
    model = json.loads(tokenizer.to_str())["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"], ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in model["merges"])]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    special = {"bos_token": START, "eos_token": END, "pad_token": END, "unk_token": END}
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=2) + "\n", encoding="utf-8")
    config = {**special, "tokenizer_class": "CLIPTokenizer", "model_max_length": CONTEXT, "do_lower_case": True}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
