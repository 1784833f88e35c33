"""A small vocabulary of CLIP's kind, learnt from a few sentences: bytes, bytes ending a word, merges, specials."""

import json
from functools import cache
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from xclip_stream.model.tokenizer import END, START

SENTENCES = [
    "a person is climbing over the fence at night",
    "two people are fighting in the street, a person falls down",
    "a photo of a man running; the dog's running too, they're walking and he'll stop",
    "an empty parking lot with no people, cars driving past 12 34 trees",
    "it isn't what we've done, i'd say i'm done !!! ... ??? café naïve straße",
]


@cache  # ties between merges fall differently each time
def learn_vocabulary() -> tuple[dict[str, int], list[tuple[str, str]]]:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=800, end_of_word_suffix="</w>", initial_alphabet=alphabet, show_progress=False
    )
    words = [word for sentence in SENTENCES for word in sentence.split()]
    learner.train_from_iterator(words * 3, trainer)
    merges = [tuple(pair) for pair in json.loads(learner.to_str())["model"]["merges"]]
    tokens = [*alphabet, *(f"{letter}</w>" for letter in alphabet)]
    tokens += [token for token in (left + right for left, right in merges) if token not in tokens]
    return {token: number for number, token in enumerate([*dict.fromkeys(tokens), START, END])}, merges


def write_vocabulary(folder: Path) -> Path:
    """Write `vocab.json` and `merges.txt`."""
    vocabulary, merges = learn_vocabulary()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    lines = ["#version: 0.2", *(f"{left} {right}" for left, right in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder
