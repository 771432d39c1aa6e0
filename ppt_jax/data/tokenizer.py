"""A byte-level BPE of our own, trained on stories and prompts, that `transformers` can load.

Numbers are handled in one of three ways, the three found among published tokenizers:

- ``whole``: every integer 0..100 is one token (digits never merge with anything but digits);
- ``digits``: every digit is a token;
- ``merged``: numbers are pre-split with a leading space and merged as frequency has it.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import shutil
from collections.abc import Iterable, Iterator
from typing import Any

import tokenizers
import transformers
from tokenizers import decoders, models, pre_tokenizers, trainers

from ppt_jax.data.prompts import INSTRUCTION, answer_scale
from ppt_jax.data.records import ScenarioRecord
from ppt_jax.data.supports import CLOSE, OPEN
from ppt_jax.errors import UserError

PAD, BEGIN, END = "<|pad|>", "<|begin|>", "<|end|>"
SYSTEM, USER, ASSISTANT = "<|system|>", "<|user|>", "<|assistant|>"
SPECIAL = (PAD, BEGIN, END, SYSTEM, USER, ASSISTANT)

NUMBERS = ("whole", "digits", "merged")
_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)| ?\p{L}+"
_REST = r" ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_PATTERNS = {
    "whole": rf"{_WORDS}|\p{{N}}{{1,3}}|{_REST}",
    "digits": rf"{_WORDS}|\p{{N}}|{_REST}",
    "merged": rf"{_WORDS}| ?\p{{N}}+|{_REST}",
}

CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{% if message['role'] not in ['system', 'user', 'assistant'] %}"
    "{{ raise_exception('role must be system, user or assistant') }}"
    "{% endif %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


@dataclasses.dataclass(frozen=True)
class TokenizerConfig:
    """Size and number handling of a trained tokenizer.

    Attributes:
      vocab_size: number of tokens, special ones included (upper bound for tiny corpora).
      numbers: ``whole``, ``digits`` or ``merged``.
    """

    vocab_size: int = 2048
    numbers: str = "whole"

    def __post_init__(self) -> None:
        if self.numbers not in NUMBERS:
            raise UserError(
                f"TokenizerConfig.numbers={self.numbers!r}: must be one of {', '.join(NUMBERS)}"
            )
        least = 256 + len(SPECIAL) + (len(_number_merges()) if self.numbers == "whole" else 0)
        if isinstance(self.vocab_size, bool) or self.vocab_size < least:
            raise UserError(
                f"TokenizerConfig.vocab_size={self.vocab_size}: needs {least} at least "
                f"(256 bytes, {len(SPECIAL)} special tokens, numbers {self.numbers!r})"
            )


def _number_merges() -> list[tuple[str, str]]:
    """Merges that make 10..99 and 100 single tokens; 0..9 are bytes already."""
    pairs = [(str(tens), str(ones)) for tens in range(1, 10) for ones in range(10)]
    return [*pairs, ("10", "0")]


def training_texts(records: Iterable[ScenarioRecord]) -> Iterator[str]:
    """What the tokenizer is trained on: each story once, then each question with its scale."""
    for record in records:
        yield f"{record.story}\n\n{INSTRUCTION}"
        for ask in record.asks:
            scale = answer_scale(ask.kind, ask.unit, ask.low, ask.high, ask.options)
            yield f"\n{ask.text}\n{scale}"
            for option in ask.options:
                yield f"{OPEN}{option}{CLOSE}"


def train_tokenizer(
    texts: Iterable[str], config: TokenizerConfig
) -> transformers.PreTrainedTokenizerFast:
    """Trains a byte-level BPE and dresses it as a `transformers` tokenizer with chat template.

    The same texts in the same order give the same tokenizer, byte by byte. Any text can be
    written (256 byte tokens), so nothing is ever unknown.

    Args:
      texts: the corpus, e.g. from `training_texts`.
      config: size and number handling.

    Raises:
      UserError: the corpus is empty.

    Example:
      >>> t = train_tokenizer(["a story of 42 hours"] * 3, TokenizerConfig(vocab_size=400))
      >>> t.tokenize("<42>")
      ['<', '42', '>']
    """
    corpus = list(texts)
    if not any(corpus):
        raise UserError("no text to train a tokenizer on: the training split is empty")
    extra = _number_merges() if config.numbers == "whole" else []
    # With whole numbers the merges of digits are given, not learnt: train with single digits.
    pattern = _PATTERNS["digits" if extra else config.numbers]
    encoder = tokenizers.Tokenizer(models.BPE())
    encoder.pre_tokenizer = _pre_tokenizer(pattern)
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocab_size - len(extra),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=list(SPECIAL),
        show_progress=False,
    )
    encoder.train_from_iterator(corpus, trainer)
    if extra:
        encoder = _with_merges(encoder, extra)
        encoder.pre_tokenizer = _pre_tokenizer(_PATTERNS["whole"])
    encoder.decoder = decoders.ByteLevel()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=encoder,
        pad_token=PAD,
        bos_token=BEGIN,
        eos_token=END,
        additional_special_tokens=[SYSTEM, USER, ASSISTANT],
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def _pre_tokenizer(pattern: str) -> pre_tokenizers.PreTokenizer:
    """Splits by a regular expression, then spells each piece in bytes."""
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(tokenizers.Regex(pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def _with_merges(
    encoder: tokenizers.Tokenizer, merges: list[tuple[str, str]]
) -> tokenizers.Tokenizer:
    """The same tokenizer with more merges, which rank before the learnt ones."""
    description = json.loads(encoder.to_str())
    model = description["model"]
    for left, right in merges:
        model["vocab"].setdefault(left + right, len(model["vocab"]))
    model["merges"] = [list(pair) for pair in merges] + model["merges"]
    return tokenizers.Tokenizer.from_str(json.dumps(description))


def save_tokenizer(
    tokenizer: transformers.PreTrainedTokenizerFast, directory: str | os.PathLike[str]
) -> None:
    """Saves a tokenizer for `transformers.AutoTokenizer.from_pretrained`, whole or not at all.

    A tokenizer that lies there already is replaced.

    Raises:
      UserError: the folder holds something else, or cannot be written.
    """
    target = pathlib.Path(directory)
    if target.exists() and not (target / "tokenizer.json").exists():
        raise UserError(f"{target}: exists and is no tokenizer; name another folder")
    part = target.with_name(f".{target.name}.part")
    old = target.with_name(f".{target.name}.old")
    try:
        for leftover in (part, old):
            shutil.rmtree(leftover, ignore_errors=True)
        part.mkdir(parents=True)
        tokenizer.save_pretrained(part)
        if target.exists():
            os.replace(target, old)
        os.replace(part, target)
    except Exception as error:  # `tokenizers` reports a full disk as a plain Exception
        raise UserError(f"{target}: cannot write the tokenizer ({error})") from error
    finally:
        for leftover in (part, old):
            shutil.rmtree(leftover, ignore_errors=True)


def load_tokenizer(directory: str | os.PathLike[str]) -> Any:
    """Loads a tokenizer folder, ours or a model's, without network.

    Raises:
      UserError: there is no readable tokenizer there.
    """
    folder = pathlib.Path(directory)
    if not (folder / "tokenizer_config.json").exists() and not (folder / "tokenizer.json").exists():
        raise UserError(f"{folder}: no tokenizer here (tokenizer.json is missing)")
    try:
        return transformers.AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{folder}: the tokenizer cannot be read ({error})") from error
