"""Suggestions for refused words: near spellings, and what other languages call the same thing."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

OTHER_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "bernoulli": "yes",
        "flip": "yes",
        "poisson": "count",
        "binomial": "successes",
        "exponential": "wait",
        "student": "robust",
        "studentt": "robust",
        "student_t": "robust",
        "categorical": "pick",
        "choice": "pick",
        "gaussian": "normal",
        "log_normal": "lognormal",
        "sum": "total",
        "mean": "average",
        "avg": "average",
        "logistic": "sigmoid",
        "expit": "sigmoid",
        "inv_logit": "sigmoid",
        "ln": "log",
        "previous": "prev",
        "lag": "prev",
    }
)
OTHER_ARGUMENTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "mu": "mean",
        "loc": "mean",
        "std": "sd",
        "sigma": "sd",
        "scale": "sd",
        "stdev": "sd",
        "prob": "p",
        "probs": "p",
        "probability": "p",
        "lam": "rate",
        "trials": "n",
        "alpha": "a",
        "min": "low",
        "max": "high",
        "weight": "weights",
    }
)


def did_you_mean(
    word: str, known: Iterable[str], aliases: Mapping[str, str] = MappingProxyType({})
) -> str:
    """``"; did you mean 'damp'?"`` for the nearest of the known words, or an empty string.

    Args:
      word: what was written.
      known: words that would have been right.
      aliases: other names -> known words, tried first.

    Example:
      >>> did_you_mean("dmp", ["hot", "damp"]), did_you_mean("qqq", ["hot"])
      ("; did you mean 'damp'?", '')
    """
    words = list(itertools.islice((k for k in known if len(k) <= 80), 300))
    alias = aliases.get(word.lower())
    close = [alias] if alias in words else difflib.get_close_matches(word[:60], words, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
