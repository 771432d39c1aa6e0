import itertools
import pathlib
import subprocess
import sys

import pytest
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from ppt_jax.data.tokenizer import (
    SPECIAL,
    TokenizerConfig,
    load_tokenizer,
    save_tokenizer,
    train_tokenizer,
    training_texts,
)
from ppt_jax.errors import UserError
from tests.data import examples

TRAINED = {kind: examples.trained(kind) for kind in ("whole", "digits", "merged")}


@pytest.mark.parametrize("kind", TRAINED)
@settings(max_examples=150, deadline=None)
@given(text=st.text())
def test_any_text_comes_back(kind: str, text: str) -> None:
    tokenizer = TRAINED[kind]
    if any(token in text for token in SPECIAL):
        return
    ids = tokenizer.encode(text, add_special_tokens=False)
    assert tokenizer.decode(ids, clean_up_tokenization_spaces=False) == text


def test_numbers() -> None:
    whole, digits = TRAINED["whole"], TRAINED["digits"]
    for number in range(101):
        assert whole.tokenize(f"<{number}>") == ["<", str(number), ">"]
        assert digits.tokenize(f"<{number}>") == ["<", *str(number), ">"]
        assert whole.tokenize(f" {number} hours")[1] == str(number)
    merged = TRAINED["merged"].tokenize("took 12 hours")
    assert any("12" in token and len(token) > 2 for token in merged)  # the space is glued on


@pytest.mark.parametrize("kind", TRAINED)
def test_size_and_specials(kind: str) -> None:
    tokenizer = TRAINED[kind]
    assert len(tokenizer) <= 420
    assert sorted(tokenizer.get_vocab().values()) == list(range(len(tokenizer)))
    for token in SPECIAL:
        assert tokenizer.tokenize(f"a{token}b")[1] == token
    assert tokenizer.pad_token_id == 0


def test_vocabulary_is_filled_to_its_size() -> None:
    syllables = ["".join(pair) for pair in itertools.product("bdfgklmn", "aeiou")]
    texts = [f"{left}{right} {right}{left}" for left in syllables for right in syllables]
    for numbers in ("whole", "digits"):
        tokenizer = train_tokenizer(texts, TokenizerConfig(400, numbers))
        assert len(tokenizer) == 400


def test_auto_tokenizer_loads_it_with_chat_template(tmp_path: pathlib.Path) -> None:
    save_tokenizer(TRAINED["whole"], tmp_path / "tokenizer")
    loaded = transformers.AutoTokenizer.from_pretrained(tmp_path / "tokenizer")
    text = "Juno rowed 42 miles.\n\nHow far?"
    assert loaded.encode(text) == TRAINED["whole"].encode(text)
    chat = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "<3>"},
    ]
    assert loaded.apply_chat_template(chat, tokenize=False, add_generation_prompt=True) == (
        "<|begin|><|system|>Be brief.<|end|><|user|>Hi<|end|><|assistant|><3><|end|><|assistant|>"
    )
    with pytest.raises(Exception, match="role must be"):
        loaded.apply_chat_template([{"role": "tool", "content": "x"}], tokenize=False)
    ours = load_tokenizer(tmp_path / "tokenizer")
    assert ours.get_vocab() == loaded.get_vocab()
    save_tokenizer(TRAINED["digits"], tmp_path / "tokenizer")  # replaced as a whole
    assert load_tokenizer(tmp_path / "tokenizer").get_vocab() == TRAINED["digits"].get_vocab()
    assert [path.name for path in tmp_path.iterdir()] == ["tokenizer"]
    (tmp_path / "other").mkdir()
    with pytest.raises(UserError, match="is no tokenizer"):
        save_tokenizer(TRAINED["whole"], tmp_path / "other")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        save_tokenizer(TRAINED["whole"], tmp_path / "file" / "tokenizer")


def test_training_is_deterministic(tmp_path: pathlib.Path) -> None:
    command = """
import sys
from tests.data import examples
from ppt_jax.data.tokenizer import save_tokenizer
save_tokenizer(examples.trained("whole"), sys.argv[1])
"""
    root = str(pathlib.Path(__file__).parent.parent.parent)
    for name in ("a", "b"):
        arguments = [sys.executable, "-c", command, str(tmp_path / name)]
        subprocess.run(arguments, check=True, cwd=root)
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert "tokenizer.json" in files
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_training_texts_hold_every_story_once() -> None:
    records = examples.records(3)
    texts = list(training_texts(records))
    for record in records:
        assert sum(text.startswith(record.story) for text in texts) == 1
        for ask in record.asks:
            assert sum(ask.text in text for text in texts) >= 1


def test_missing_and_broken_folders(tmp_path: pathlib.Path) -> None:
    with pytest.raises(UserError, match="no tokenizer here"):
        load_tokenizer(tmp_path / "nowhere")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "tokenizer_config.json").write_text('{"tokenizer_class": "Nope"}')
    with pytest.raises(UserError, match="cannot be read"):
        load_tokenizer(tmp_path / "bad")
    with pytest.raises(UserError, match="no text"):
        train_tokenizer([], TokenizerConfig())


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"numbers": "roman"}, "numbers='roman'"),
        ({"vocab_size": 300}, "needs 353"),
        ({"vocab_size": 200, "numbers": "digits"}, "needs 262"),
    ],
)
def test_bad_config(how: dict, words: str) -> None:
    with pytest.raises(UserError, match=words):
        TokenizerConfig(**how)
