"""A small CLIP tokenizer made from the demo's own prompts."""

import json

from tokenizers import Tokenizer, pre_tokenizers, trainers

from xclip_stream.model.tokenizer import END, START, clip_tokenizer

WORD_END = "</w>"
CONTEXT = 77


def train_tokenizer(sentences: tuple[str, ...], *, vocabulary: int) -> Tokenizer:
    """Learn a byte-level BPE of about `vocabulary` tokens with CLIP's conventions.

    Every byte is a token, so any text can be encoded; the end token has the largest id, which is where CLIP reads.
    """
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    learned = clip_tokenizer({START: 0, END: 1}, [])
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, end_of_word_suffix=WORD_END, initial_alphabet=letters, show_progress=False
    )
    learned.train_from_iterator(sentences, trainer)
    merges = [(left, right) for left, right in json.loads(learned.to_str())["model"]["merges"]]
    tokens = [*letters, *(letter + WORD_END for letter in letters), *(a + b for a, b in merges), START, END]
    return clip_tokenizer({token: index for index, token in enumerate(dict.fromkeys(tokens))}, merges)
