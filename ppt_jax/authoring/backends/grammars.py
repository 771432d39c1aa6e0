"""Masks of the tokens that keep an answer on its JSON schema, by llguidance.

Axes: B rows, W = ceil(vocabulary / 32) words of 32 bits.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ppt_jax.authoring.backends.protocol import FinishReason
from ppt_jax.errors import UserError

# One line, as JSON is mostly written: a model cannot fill its answer with white space.
_FORM: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


@dataclasses.dataclass(frozen=True)
class RowPlan:
    """What one row of a batch may write.

    Attributes:
      schema: JSON schema of the answer; None for free text.
      limit: tokens at most.
      stop: strings that end it.
    """

    schema: Mapping[str, Any] | None
    limit: int
    stop: tuple[str, ...] = ()


class Grammars:
    """Token masks for one tokenizer.

    Args:
      tokenizer_json: the content of the tokenizer's ``tokenizer.json``.
      vocab_size: of the model; tokens that the tokenizer does not know are never allowed.
      end_tokens: tokens that end an answer.

    Raises:
      UserError: llguidance is missing, or cannot use this tokenizer.
    """

    def __init__(self, tokenizer_json: str, vocab_size: int, end_tokens: Sequence[int]) -> None:
        llguidance = find_llguidance()
        if not end_tokens:
            raise UserError("the tokenizer names no token that ends an answer (eos_token)")
        try:
            self.tokenizer = llguidance.LLTokenizer(
                tokenizer_json, n_vocab=vocab_size, eos_token=list(end_tokens)
            )
        except ValueError as error:
            raise UserError(f"the tokenizer cannot be used for schemas ({error})") from error
        self.end_tokens = frozenset(end_tokens)
        self.words = -(-vocab_size // 32)
        known = _token_ids(tokenizer_json)
        free_V = np.zeros(32 * self.words, bool)
        free_V[[token for token in known if token < vocab_size]] = True
        self._free_W = np.packbits(free_V, bitorder="little").view("<u4").astype(np.uint32)
        self._library = llguidance

    @functools.lru_cache(maxsize=64)  # noqa: B019  (lives as long as the back end)
    def _grammar(self, schema: str) -> str:
        matcher = self._library.LLMatcher
        grammar = matcher.grammar_from_json_schema(schema, overrides=_FORM)
        failed, words = matcher.validate_grammar_with_warnings(grammar, self.tokenizer)
        if failed:
            raise UserError(f"the answer's JSON schema cannot be enforced: {words[0]}")
        return grammar

    def matcher(self, schema: Mapping[str, Any]) -> Any:
        """A fresh matcher of a schema.

        Raises:
          UserError: the schema cannot be enforced.
        """
        grammar = self._grammar(json.dumps(schema, ensure_ascii=False))
        return self._library.LLMatcher(self.tokenizer, grammar, log_level=0)

    def guide(self, plans: Sequence[RowPlan]) -> SchemaGuide:
        """A guide for a batch of rows."""
        return SchemaGuide(self, plans)


class SchemaGuide:
    """Says which tokens may come next in every row of a batch, and when a row has ended.

    Attributes:
      finish: why each row ended; ``length`` while it goes on.
      errors: what went wrong in a row; empty when it ended by itself.
    """

    def __init__(self, grammars: Grammars, plans: Sequence[RowPlan]) -> None:
        self._grammars, self._plans = grammars, plans
        self._matchers = [
            None if plan.schema is None else grammars.matcher(plan.schema) for plan in plans
        ]
        self._tails = [b""] * len(plans)
        self._counts = [0] * len(plans)
        self._ended_B = np.zeros(len(plans), bool)
        self.finish: list[FinishReason] = ["length"] * len(plans)
        self.errors = [f"cut after max_tokens={plan.limit} tokens" for plan in plans]
        self._mask_BW = np.tile(grammars._free_W, (len(plans), 1))

    def allowed(self) -> np.ndarray:
        """Allowed tokens, uint32 ``[B, W]``: bit ``v % 32`` of word ``v // 32`` is token v."""
        for row, matcher in enumerate(self._matchers):
            if matcher is not None and not self._ended_B[row]:
                words = self._mask_BW[row]
                matcher.unsafe_compute_mask_ptr(words.ctypes.data, words.nbytes)
        return self._mask_BW

    def take(self, tokens_B: np.ndarray) -> np.ndarray:
        """Goes on by one token a row; returns which rows have ended, bool ``[B]``."""
        for row, token in enumerate(tokens_B.tolist()):
            if not self._ended_B[row]:
                self._ended_B[row] = self._took(row, token)
        return self._ended_B.copy()

    def _took(self, row: int, token: int) -> bool:
        plan, matcher = self._plans[row], self._matchers[row]
        self._counts[row] += 1
        ended = token in self._grammars.end_tokens
        if matcher is not None and not ended:
            if not matcher.consume_token(token) or matcher.is_error():
                self.finish[row] = "error"
                self.errors[row] = f"the grammar broke off: {matcher.get_error()[:200]}"
                return True
            ended = matcher.is_stopped()
        if plan.stop and not ended:
            longest = max(len(end.encode()) for end in plan.stop)
            piece = self._grammars.tokenizer.decode_bytes([token])
            tail = self._tails[row] + piece
            ended = any(end.encode() in tail for end in plan.stop)
            self._tails[row] = tail[-longest:]
        if ended:
            self.finish[row], self.errors[row] = "stop", ""
        return ended or self._counts[row] >= plan.limit


def find_llguidance() -> Any:
    """The llguidance package.

    Raises:
      UserError: it is missing.
    """
    try:
        import llguidance
    except ImportError as error:
        raise UserError(
            "writing under a schema needs the llguidance package: pip install 'ppt_jax[llm]'"
        ) from error
    return llguidance


def _token_ids(tokenizer_json: str) -> list[int]:
    import tokenizers

    vocabulary = tokenizers.Tokenizer.from_str(tokenizer_json).get_vocab(with_added_tokens=True)
    return list(vocabulary.values())
