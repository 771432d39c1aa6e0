"""A real decoder over 12 symbols, so small that every string can be enumerated."""

from __future__ import annotations

import functools

import jax
import numpy as np
import tokenizers
import transformers
from tokenizers import models

from ppt_jax.evaluation.readouts.language_model import Asked, DecoderModel
from ppt_jax.models.architecture import DecoderConfig
from ppt_jax.models.decoder import init_params, make_apply

SYMBOLS = ["0", "1", "2", "3", "<", ">", "\n", "A", "B", "C", ".", "10"]
CONFIG = DecoderConfig(
    vocab_size=len(SYMBOLS), width=16, layers=2, heads=2, kv_heads=1, head_size=8, mlp_width=24
)


def tokenizer() -> transformers.PreTrainedTokenizerFast:
    """One token a symbol and one for "10"; other characters write nothing."""
    model = models.BPE(vocab={symbol: at for at, symbol in enumerate(SYMBOLS)}, merges=[("1", "0")])
    encoder = tokenizers.Tokenizer(model)
    wrapped = transformers.PreTrainedTokenizerFast(tokenizer_object=encoder)
    wrapped.chat_template = "{{ messages[0]['content'] + '\n' }}"
    return wrapped


@functools.cache
def toy_model(seed: int = 0) -> DecoderModel:
    params = init_params(CONFIG, jax.random.key(seed))
    params = jax.tree.map(lambda x: 3 * x if x.ndim > 1 else x, params)
    return DecoderModel(CONFIG, params, tokenizer(), silent=True)


def next_token_log_probs(model: DecoderModel, rows: list[list[int]]) -> np.ndarray:
    """Log-probabilities [R, V] of the token behind each row (all of one length)."""
    tokens = np.asarray(rows, np.int32)
    size = tokens.shape[1]
    apply = make_apply(CONFIG)
    batch = {
        "tokens_BT": tokens,
        "positions_BT": np.broadcast_to(np.arange(size, dtype=np.int32), tokens.shape),
        "end_BT": np.full(tokens.shape, size, np.int32),
        "node_BN": np.full((len(rows), 1), size - 1, np.int32),
    }
    return np.asarray(jax.nn.log_softmax(apply(model.params, batch)[:, 0]), np.float64)


def all_strings(model: DecoderModel, prompt: list[int], depth: int) -> dict[str, float]:
    """Probability of every text of ``depth`` tokens, or of fewer that end in their first ``>``."""
    close = SYMBOLS.index(">")
    found: dict[str, float] = {}
    open_rows: dict[tuple[int, ...], float] = {(): 0.0}
    for _ in range(depth):
        keys = list(open_rows)
        logp_RV = next_token_log_probs(model, [[*prompt, *key] for key in keys])
        following: dict[tuple[int, ...], float] = {}
        for key, logp_V in zip(keys, logp_RV, strict=True):
            text = "".join(SYMBOLS[t] for t in key) + ">"
            found[text] = found.get(text, 0.0) + float(np.exp(open_rows[key] + logp_V[close]))
            for token in range(len(SYMBOLS)):
                if token != close:
                    following[(*key, token)] = open_rows[key] + logp_V[token]
        open_rows = following
    for key, logp in open_rows.items():
        text = "".join(SYMBOLS[t] for t in key)
        found[text] = found.get(text, 0.0) + float(np.exp(logp))
    return found


ASK = Asked(id="q1", story="1.2", question="A.1", scale="0.3", answers=("0", "2", "3", "10", "12"))
