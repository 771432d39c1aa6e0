"""Readouts from free text: the greedy answer (verbalised), and the distribution of k samples.

Axes: K answers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from ppt_jax.evaluation.readouts.language_model import Asked, LanguageModel
from ppt_jax.evaluation.readouts.numbers import parse_answer
from ppt_jax.evaluation.sampled import total_variation_floor


@dataclasses.dataclass(frozen=True, eq=False)
class Written:
    """What was read from free text.

    Attributes:
      logp_K: log of the share of texts that gave each answer, None when none could be parsed.
      text: the text (of the first sample, when there are several).
      parsed: the answer found in it, or None.
      failures: texts that could not be parsed.
    """

    logp_K: np.ndarray | None
    text: str
    parsed: str | None
    failures: int


def _read(texts: Sequence[str], support: Sequence[str], numeric: bool) -> Written:
    found = [parse_answer(text, support, numeric) for text in texts]
    counts_K = np.bincount([k for k in found if k is not None], minlength=len(support))
    failures = sum(k is None for k in found)
    with np.errstate(divide="ignore"):
        logp_K = np.log(counts_K / len(texts)) if counts_K.any() else None
    first = found[0]
    return Written(logp_K, texts[0], None if first is None else support[first], failures)


def read_greedy(
    model: LanguageModel, asks: Sequence[Asked], numeric: Sequence[bool], *, tokens: int = 16
) -> list[Written]:
    """The answer that the model writes by itself, as a distribution on that one answer.

    Args:
      model: whom to ask.
      asks: the questions.
      numeric: whether the answers of each are numbers.
      tokens: written at most.
    """
    texts = model.write(asks, samples=1, temperature=0.0, tokens=tokens, seed=0)
    return [_read(t, ask.answers, n) for t, ask, n in zip(texts, asks, numeric, strict=True)]


def read_samples(
    model: LanguageModel,
    asks: Sequence[Asked],
    numeric: Sequence[bool],
    *,
    samples: int = 20,
    seed: int = 0,
    tokens: int = 16,
) -> list[Written]:
    """Shares of the answers among k texts sampled at temperature 1.

    A share has standard error ``sqrt(p (1 - p) / k)``, and distances from a share to anything are
    too large by what `sampling_floor` gives: k samples of a model differ from the model itself.

    Args:
      model: whom to ask.
      asks: the questions.
      numeric: whether the answers of each are numbers.
      samples: k.
      seed: of the sampling.
      tokens: written at most.
    """
    texts = model.write(asks, samples=samples, temperature=1.0, tokens=tokens, seed=seed)
    return [_read(t, ask.answers, n) for t, ask, n in zip(texts, asks, numeric, strict=True)]


def sampling_floor(p_K: np.ndarray, samples: int) -> float:
    """Expected total variation between a distribution and the shares of k draws from it.

    What is missing to 1 counts as one more answer; see `sampled.total_variation_floor`.

    Args:
      p_K: probabilities that sum to at most 1.
      samples: n draws, at least 1.

    Example:
      >>> sampling_floor(np.array([0.5, 0.5]), 1)
      0.5
    """
    full_K = np.append(p_K, max(0.0, 1.0 - float(np.sum(p_K))))
    with jax.enable_x64(True):
        return float(total_variation_floor(jnp.asarray(full_K), samples))
