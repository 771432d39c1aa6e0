"""Readouts from free text: the greedy answer (verbalised), and the distribution of k samples.

Axes: K answers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy import special

from ppt_jax.evaluation.readouts.language_model import Asked, LanguageModel
from ppt_jax.evaluation.readouts.numbers import parse_answer


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

    ``1/2 sum_k E|X_k / n - p_k|`` with ``X_k ~ Binomial(n, p_k)``; the mean absolute deviation of
    a binomial is ``2 v C(n, v) p^v (1 - p)^(n - v + 1)`` with ``v = floor(n p) + 1`` (de Moivre).

    Args:
      p_K: probabilities that sum to at most 1 (what is missing counts as one more answer).
      samples: n draws, at least 1.

    Example:
      >>> sampling_floor(np.array([0.5, 0.5]), 1)
      0.5
    """
    p_K = np.append(p_K, max(0.0, 1.0 - float(np.sum(p_K))))
    p_K = p_K[(p_K > 0) & (p_K < 1)]
    v_K = np.floor(samples * p_K) + 1
    log_terms = (
        special.gammaln(samples + 1)
        - special.gammaln(v_K + 1)
        - special.gammaln(samples - v_K + 1)
        + v_K * np.log(p_K)
        + (samples - v_K + 1) * np.log1p(-p_K)
    )
    deviation_K = 2 * v_K * np.exp(log_terms) / samples
    return float(0.5 * deviation_K.sum())
