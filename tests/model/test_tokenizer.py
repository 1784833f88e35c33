import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import CLIPTokenizer as ReferenceTokenizer

from tests.model.vocabulary import SENTENCES, learn_vocabulary, write_vocabulary
from xclip_stream.errors import CheckpointError, PromptError
from xclip_stream.model.locate import open_checkpoint
from xclip_stream.model.tokenizer import END, START, PromptTokenizer, clip_tokenizer

HARD = [
    *SENTENCES,
    "",
    " ",
    "A PERSON Falling DOWN",
    "2024-11-23 at 07:59, 3.5 km/h, ½ ², ٣٤",
    "don't they'll we've I'd it's he're 'tis rock'n'roll 'S'T",
    "café cafe\u0301 ångström Å ﬁne",
    "naïve Straße İstanbul ŒUVRE ǅ",
    "  many   spaces\tand\ttabs\n\nand lines \u00a0 \u2003 ends  ",
    "emoji 🏃‍♀️ 🔥🔥 👨‍👩‍👧 end",
    "中文 字符 日本語テスト 한국어 العربية हिन्दी ไทย",
    "mixed中文english123кириллица",
    "punctuation!!! (really?) [yes] {no} <tag> a/b\\c #1 @you $5 100% ^_^ ~ `x` --- … — –",
    "<|endoftext|>",
    "a <|endoftext|> in the middle",
    "<|startoftext|> twice",
    "<|endoftext|",
    "zero\u200bwidth \ufeff bom soft\u00adhyphen",
    "ς final sigma ΟΔΟΣ",
    "supercalifragilisticexpialidocious",
    "a_b__c snake_case x=y+1",
    "\u0130\u0131 \ud7ff \U0010ffff",
]


@pytest.fixture(scope="module")
def reference() -> ReferenceTokenizer:
    vocabulary, merges = learn_vocabulary()
    return ReferenceTokenizer(vocab=vocabulary, merges=merges, model_max_length=77)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_vocabulary(tmp_path_factory.mktemp("vocabulary"))


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> PromptTokenizer:
    return PromptTokenizer.from_checkpoint(open_checkpoint(folder), max_tokens=1000)


@pytest.mark.parametrize("text", HARD)
def test_hard_texts_get_the_ids_of_the_reference(tokenizer, reference, text):
    assert tokenizer.encode([text]) == [reference(text)["input_ids"]]


@settings(deadline=None)
@given(text=st.text(max_size=40))
def test_any_text_gets_the_ids_of_the_reference(tokenizer, reference, text):
    assert tokenizer.encode([text]) == [reference(text)["input_ids"]]


def test_merges_are_used(tokenizer):
    whole, spelt = tokenizer.encode(["person climbing", "pxqzv"])

    assert len(whole) == 4
    assert len(spelt) > 4


def test_a_file_saved_by_either_side_is_read_by_the_other(tmp_path, tokenizer, reference):
    reference.save_pretrained(tmp_path / "theirs")
    tokenizer.save_pretrained(tmp_path / "ours")

    ours = PromptTokenizer.from_checkpoint(open_checkpoint(tmp_path / "theirs"), max_tokens=1000)
    theirs = ReferenceTokenizer.from_pretrained(tmp_path / "ours")

    assert ours.max_tokens == 77
    assert theirs.model_max_length == 1000
    for text in HARD:
        assert tokenizer.encode([text]) == [theirs(text)["input_ids"]]
    short = [text for text in HARD if len(reference(text)["input_ids"]) <= 77]
    assert ours.encode(short) == tokenizer.encode(short)


def test_padding_and_truncation_set_in_a_file_have_no_effect(tmp_path, tokenizer):
    tokenizer.save_pretrained(tmp_path)
    written = json.loads((tmp_path / "tokenizer.json").read_text())
    written["truncation"] = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    written["padding"] = {
        "strategy": {"Fixed": 16}, "direction": "Right", "pad_to_multiple_of": None,
        "pad_id": 0, "pad_type_id": 0, "pad_token": START,
    }  # fmt: skip
    (tmp_path / "tokenizer.json").write_text(json.dumps(written))

    read = PromptTokenizer.from_checkpoint(open_checkpoint(tmp_path), max_tokens=77)

    assert read.encode(SENTENCES[:1]) == tokenizer.encode(SENTENCES[:1])


def long_prompt(words: int) -> str:
    return " ".join(["person"] * words)


def test_a_prompt_that_is_too_long_is_named_with_both_lengths(folder):
    tokenizer = PromptTokenizer.from_checkpoint(open_checkpoint(folder), max_tokens=77)

    assert len(tokenizer.encode([long_prompt(75)])[0]) == 77
    with pytest.raises(PromptError, match=r"prompt 'person person .*…' has 78 tokens, the model takes 77: shorten it"):
        tokenizer.encode(["a person", long_prompt(76)])


def test_truncation_keeps_the_end_token_as_the_reference_does(folder, reference):
    tokenizer = PromptTokenizer.from_checkpoint(open_checkpoint(folder), max_tokens=77)

    cut = tokenizer.encode([long_prompt(90)], truncation=True)[0]

    assert cut == reference(long_prompt(90), truncation=True)["input_ids"]
    assert (len(cut), cut[-1]) == (77, tokenizer.tokenizer.token_to_id(END))


@pytest.mark.parametrize("token", ["<|endoftext|>", {"content": "!"}])
def test_the_padding_token_comes_from_the_settings(tmp_path, folder, token):
    write_vocabulary(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"pad_token": token, "model_max_length": 12}))

    tokenizer = PromptTokenizer.from_checkpoint(open_checkpoint(tmp_path), max_tokens=77)

    expected = token if isinstance(token, str) else token["content"]
    assert tokenizer.pad_id == tokenizer.tokenizer.token_to_id(expected)
    assert tokenizer.max_tokens == 12


def test_an_end_token_that_has_not_the_largest_id_is_refused(tmp_path):
    vocabulary, merges = learn_vocabulary()
    with_more = clip_tokenizer(vocabulary | {"later": len(vocabulary)}, merges)
    PromptTokenizer(with_more, max_tokens=77).save_pretrained(tmp_path)

    with pytest.raises(CheckpointError, match="must have the largest id of the vocabulary"):
        PromptTokenizer.from_checkpoint(open_checkpoint(tmp_path), max_tokens=77)


def test_a_tokenizer_without_start_and_end_around_a_prompt_is_refused(tmp_path, tokenizer):
    tokenizer.save_pretrained(tmp_path)
    written = json.loads((tmp_path / "tokenizer.json").read_text())
    (tmp_path / "tokenizer.json").write_text(json.dumps(written | {"post_processor": None}))

    with pytest.raises(CheckpointError, match=r"tokenizer\.json: the tokenizer does not put a prompt between"):
        PromptTokenizer.from_checkpoint(open_checkpoint(tmp_path), max_tokens=77)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, r"holds no tokenizer\.json or vocab\.json"),
        ({"vocab.json": "{}"}, r"holds no merges\.txt"),
        ({"vocab.json": '{"a": 0}', "merges.txt": ""}, r"vocabulary has no <\|startoftext\|>"),
        (
            {"vocab.json": '{"a": 0, "<|startoftext|>": 1, "<|endoftext|>": 2}', "merges.txt": "a b\n"},
            r"vocab\.json: makes no tokenizer with its merges\.txt",
        ),
        ({"vocab.json": "{}", "merges.txt": "#version: 0.2\na b c\n"}, r"merges\.txt:2: a merge must be two pieces"),
        ({"vocab.json": "{}", "merges.txt": "\xff"}, r"merges\.txt: cannot be read"),
        ({"tokenizer.json": "{}"}, r"tokenizer\.json: is not a tokenizer"),
        ({"tokenizer.json": "{"}, r"tokenizer\.json: cannot be read as JSON"),
    ],
)
def test_missing_or_damaged_files_are_named(tmp_path, files, message):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content.encode("latin-1"))

    with pytest.raises(CheckpointError, match=message) as caught:
        PromptTokenizer.from_checkpoint(open_checkpoint(tmp_path), max_tokens=77)
    assert "\n" not in str(caught.value)
