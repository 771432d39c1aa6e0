"""Option log-likelihood: how likely the model finds each option's text behind the question.

Length changes what it means, so three forms are kept: the raw sum (long options lose), the mean
over tokens, and the mean over bytes (no tokenizer in it).

Axes: K options.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ppt_jax.evaluation.readouts.language_model import Asked, LanguageModel, normalised

FORMS = ("raw", "per_token", "per_byte")


def read_likelihoods(
    model: LanguageModel, asks: Sequence[Asked], texts: Sequence[Sequence[str]]
) -> dict[str, list[np.ndarray]]:
    """Log-probabilities of the options in three forms.

    With ``l_k`` the log-likelihood of option k, ``t_k`` its tokens and ``b_k`` its bytes:
    ``raw`` gives ``l_k``; ``per_token`` and ``per_byte`` give ``log softmax(l_k / t_k)`` and
    ``log softmax(l_k / b_k)``, shifted to the total probability that ``raw`` leaves on the options.

    Args:
      model: whom to ask.
      asks: the questions (their ``answers`` and ``scale`` are not shown).
      texts: what each option says, K an ask.

    Returns:
      Form -> [K] an ask.
    """
    found = model.likelihoods([(ask.story, ask.question) for ask in asks], texts)
    out: dict[str, list[np.ndarray]] = {form: [] for form in FORMS}
    for options in found:
        logp_K = np.array([one.logp for one in options])
        # Texts that begin alike overlap, so their probabilities may sum to more than one.
        mass = min(float(np.exp(np.logaddexp.reduce(logp_K))), 1.0)
        lengths = {
            "raw": np.ones(len(options)),
            "per_token": np.array([max(one.tokens, 1) for one in options]),
            "per_byte": np.array([max(one.bytes, 1) for one in options]),
        }
        for form in FORMS:
            with np.errstate(divide="ignore"):
                out[form].append(np.log(normalised(logp_K / lengths[form])) + np.log(mass))
    return out
