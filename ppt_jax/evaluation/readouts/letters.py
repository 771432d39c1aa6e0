"""Option letters: the model picks ``A``, ``B``, ...; orders are averaged, so that places cancel.

Models prefer some letters and some places whatever stands there. Over all orders of the options
(or over a set in which every option stands at every place equally often) a preference for places
adds the same to every option.

Axes: K options, P orders.
"""

from __future__ import annotations

import itertools
import string
from collections.abc import Sequence

import numpy as np

from ppt_jax.errors import UserError
from ppt_jax.evaluation.readouts.language_model import Asked, LanguageModel

MOST_FOR_ALL = 4  # options of which all orders are asked


def orders(size: int) -> list[tuple[int, ...]]:
    """The orders in which options are shown: place -> option.

    All orders up to four options. With more: the given order and its cyclic shift by half, and
    both reversed (four passes), which cancels a slope over places but not every preference.

    Example:
      >>> orders(2)
      [(0, 1), (1, 0)]
    """
    if size <= MOST_FOR_ALL:
        return list(itertools.permutations(range(size)))
    straight = tuple(range(size))
    shifted = straight[size // 2 :] + straight[: size // 2]
    return [straight, shifted, straight[::-1], shifted[::-1]]


def lettered(question: str, texts: Sequence[str]) -> str:
    """The question with one line an option, ``A. ...``."""
    lines = [f"{letter}. {text}" for letter, text in zip(string.ascii_uppercase, texts)]
    return "\n".join([question, *lines])


def read_letters(
    model: LanguageModel, asks: Sequence[Asked], texts: Sequence[Sequence[str]]
) -> list[np.ndarray]:
    """Log-probability of every option, its letter's probability averaged over orders.

    ``p(k) = mean over orders of p(letter at which option k stands)``.

    Args:
      model: whom to ask.
      asks: the questions; their ``answers`` are not shown, their ``scale`` is replaced.
      texts: what each option says, K an ask.

    Returns:
      [K] log-probabilities an ask, not renormalised (mass on no letter stays missing).

    Raises:
      UserError: more options than letters.
    """
    variants: list[Asked] = []
    for ask, options in zip(asks, texts, strict=True):
        size = len(options)
        if not 2 <= size <= len(string.ascii_uppercase):
            raise UserError(f"question {ask.id}: {size} options cannot be lettered A to Z")
        letters = tuple(string.ascii_uppercase[:size])
        for number, order in enumerate(orders(size)):
            variants.append(
                Asked(
                    id=f"{ask.id} (order {number})",
                    story=ask.story,
                    question=lettered(ask.question, [options[k] for k in order]),
                    scale=f"Options: {', '.join(letters)}.",
                    answers=letters,
                )
            )
    found = iter(model.answer_log_probs(variants))
    out = []
    for options in texts:
        size = len(options)
        p_K = np.zeros(size)
        passes = orders(size)
        for order in passes:
            p_K[list(order)] += np.exp(next(found)) / len(passes)
        with np.errstate(divide="ignore"):
            out.append(np.log(p_K))
    return out
