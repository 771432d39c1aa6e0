"""Synthetic labelled rows in the labelling job's shape, and tokenizers of every odd kind."""

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tokenizers
import transformers
from tokenizers import decoders, models, pre_tokenizers

from ppt_jax.data.records import ScenarioRecord, record_from_row
from ppt_jax.data.tokenizer import TokenizerConfig, train_tokenizer, training_texts

NAMES = ("Juno", "Teo", "Marit", "Ines")
WORDS = "the crew rowed past seven boats on Monday while Juno waited 12 hours at gate 45 and won"


def histogram(rng: np.random.Generator, size: int) -> list[float]:
    """A bump over the answers with exact zeros in its tails."""
    at = np.arange(size)
    bump = np.exp(-0.5 * ((at - rng.uniform(0, size)) / rng.uniform(0.5, 8.0)) ** 2)
    bump[bump < 1e-3] = 0.0
    return (bump / bump.sum()).tolist()


def row(number: int, asks: int = 4, words: int = 30, split: str = "train") -> dict[str, Any]:
    """One row as the labelling job writes it."""
    rng = np.random.default_rng([7, number])
    story = " ".join(rng.choice(WORDS.split(), size=words)) + "."
    scenario_asks, labels = [], []
    for at in range(asks):
        kind = ("value", "choice", "rank", "chance")[at % 4]
        options = list(NAMES[: 2 + number % 3]) if kind == "choice" else []
        size = len(options) or 101
        scenario_asks.append(
            {
                "id": f"q{at}",
                "kind": kind,
                "expr": "power['Juno']",
                "unit": "hours" if kind == "value" else "",
                "low": 5,
                "high": 40,
                "options": options,
                "text": f"What about {NAMES[at % 4]} in race {at}?",
            }
        )
        labels.append(
            {
                "ask_id": f"q{at}",
                "kind": kind,
                "probs": histogram(rng, size),
                "prior_probs": [1.0 / size] * size,
                "route": "exact" if at % 2 else "weighting",
                "ess": None if at % 2 else 512.5,
                "error": 0.01,
                "error_101": 0.02,
                "information": 1.25,
                "mass_below": 0.0,
                "mass_above": 0.0,
                "true_answer": int(rng.integers(size)),
                "true_rank": float(rng.uniform()),
            }
        )
    return {
        "scenario": {
            "schema": "scenario/1",
            "id": f"{split}-{number:04d}",
            "motif": "rowing",
            "family": "latent",
            "skin": "lake",
            "genre": "letter",
            "story": story,
            "ask": scenario_asks,
        },
        "labels": labels,
    }


def records(count: int, **how: Any) -> list[ScenarioRecord]:
    """Synthetic records."""
    return [record_from_row(row(number, **how), where="test") for number in range(count)]


def trained(numbers: str, vocab_size: int = 420) -> transformers.PreTrainedTokenizerFast:
    """Our own tokenizer, trained on synthetic records."""
    config = TokenizerConfig(vocab_size=vocab_size, numbers=numbers)
    return train_tokenizer(training_texts(records(20)), config)


def from_merges(
    merges: Sequence[tuple[str, str]], pattern: str | None = None, chat: bool = False
) -> transformers.PreTrainedTokenizerFast:
    """A byte-level BPE with given merges; without a pattern nothing bounds them."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: at for at, token in enumerate(alphabet)}
    for left, right in merges:
        vocabulary.setdefault(left + right, len(vocabulary))
    encoder = tokenizers.Tokenizer(models.BPE(vocab=vocabulary, merges=list(merges)))
    steps: list[Any] = [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    if pattern:
        steps.insert(0, pre_tokenizers.Split(tokenizers.Regex(pattern), behavior="isolated"))
    encoder.pre_tokenizer = pre_tokenizers.Sequence(steps)
    encoder.decoder = decoders.ByteLevel()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=encoder, bos_token="<|endoftext|>", eos_token="<|endoftext|>"
    )


def glued() -> transformers.PreTrainedTokenizerFast:
    """Merges over every boundary: " <", "<4", "2>", ">." and number pieces, no chat template."""
    merges = [("Ġ", "<"), ("<", "4"), ("Ġ<", "4"), ("2", ">"), ("1", "0"), ("10", "0")]
    merges += [(">", "."), (">", "Ċ"), ("2>", "."), ("3", "7"), ("e", "o"), ("o", ">")]
    return from_merges(merges)


LLAMA3 = (  # the published pre-tokenisation rule of Llama 3
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def llama3() -> transformers.PreTrainedTokenizerFast:
    """Numbers of three digits, letters that swallow the bracket ("<J"), stops like ">" + lines."""
    merges = [(str(tens), str(ones)) for tens in range(1, 10) for ones in range(10)]
    merges += [("10", "0"), (">", "Ċ"), (">Ċ", "Ċ"), ("<", "J"), ("<", "T"), ("<T", "e")]
    merges += [("Ġ", "<"), ("u", "n"), ("n", "o")]
    return from_merges(merges, LLAMA3)


QWEN = (  # of Qwen2, 2.5 and 3: like Llama 3's, but every digit alone
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
GPT2 = (  # of GPT-2 and GPT-NeoX: a space is glued to what follows, numbers merge freely
    r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
)
_CLOSERS = (">", ".", ",", ";", ")", "/", "<", "Ċ", '"', "=", "]", "}")


def qwen() -> transformers.PreTrainedTokenizerFast:
    """Digit by digit."""
    return from_merges([(">", "Ċ"), ("<", "J"), ("Ġ", "<"), ("4", "2"), ("n", "o")], QWEN)


def gpt2() -> transformers.PreTrainedTokenizerFast:
    """Numbers in odd pieces, with and without their space; no bracket merges with a letter."""
    merges = [("Ġ", "4"), ("Ġ4", "2"), ("1", "0"), ("10", "0"), ("4", "2"), ("3", "7")]
    merges += [("Ġ", "<"), (">", "."), (">", ">"), ("Ġ", "T"), ("ĠT", "e")]
    return from_merges(merges, GPT2)


def closers() -> transformers.PreTrainedTokenizerFast:
    """Tokens that begin with the closing bracket by the dozen, as code-trained models have."""
    first = [(">", other) for other in _CLOSERS]
    second = [(f">{other}", end) for other in _CLOSERS for end in ("Ċ", ">", ".")]
    tens = [(str(ten), str(one)) for ten in range(1, 10) for one in range(10)]
    return from_merges([*first, *second, *tens, ("10", "0"), ("Ġ", "<")], LLAMA3)


def sentencepiece() -> transformers.PreTrainedTokenizerFast:
    """A Llama-2-like tokenizer: metaspace, single digits, bytes for what the alphabet lacks."""
    letters = "▁<>0123456789abcdefghijklmnopqrstuvwxyzJTMIWNA.,?:\n"
    vocabulary = {"<unk>": 0, "<s>": 1, "</s>": 2}
    for byte in range(256):
        vocabulary[f"<0x{byte:02X}>"] = len(vocabulary)
    for letter in letters:
        vocabulary[letter] = len(vocabulary)
    merges = [("▁", "<"), (">", "."), ("e", "o"), ("▁", "a")]
    for left, right in merges:
        vocabulary[left + right] = len(vocabulary)
    model = models.BPE(
        vocab=vocabulary, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True
    )
    encoder = tokenizers.Tokenizer(model)
    encoder.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    encoder.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=encoder, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


MADE = {
    "glued": glued,
    "llama3": llama3,
    "qwen": qwen,
    "gpt2": gpt2,
    "closers": closers,
    "sentencepiece": sentencepiece,
}
KINDS = ("whole", "digits", "merged", *MADE)


def tokenizer_of(kind: str) -> transformers.PreTrainedTokenizerFast:
    """One of `KINDS`."""
    return MADE[kind]() if kind in MADE else trained(kind)


def toy_log_probs(prefix: Sequence[int], vocab_size: int) -> np.ndarray:
    """A toy language model: log-probabilities [V] that depend on every token before."""
    rng = np.random.default_rng([3, *prefix])
    logits = rng.normal(size=vocab_size) * 2.0
    return logits - np.logaddexp.reduce(logits)


def edge_log_prob(log_probs_V: np.ndarray, token: int, stop_SV: np.ndarray) -> float:
    """Log-probability of an edge; a stop edge sums its set."""
    size = len(log_probs_V)
    if token < size:
        return float(log_probs_V[token])
    return float(np.logaddexp.reduce(log_probs_V[stop_SV[token - size]]))


def write_rows(path: Any, rows: Sequence[dict[str, Any]]) -> None:
    """JSON lines, one row each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(each) + "\n" for each in rows), encoding="utf-8")


def close(left: float, right: float) -> bool:
    """Equal to float64 rounding."""
    return math.isclose(left, right, rel_tol=1e-12, abs_tol=1e-12)
