"""From a model's answers to items.

The answers are exact log-probabilities under the full vocabulary
(`ppt_jax.models.answers.answer_log_probs`), so nothing is renormalised and lost mass stays visible.

Axes: B rows, A asks in a row, K answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ppt_jax.evaluation.items import Item, ItemError, Target


def read_answers(
    model: str,
    targets: Sequence[Target],
    batches: Iterable[Mapping[str, Any]],
    logp_of: Callable[[Mapping[str, Any]], Any],
) -> list[Item]:
    """Runs a model over packed batches and joins its answers with their targets.

    Args:
      model: name for the tables.
      targets: asks by global index: ``ask_index_BA`` of the batches points into this sequence.
      batches: packed batches with ``ask_index_BA`` (-1 for padding); incomplete last batches are
        padded by whoever packs them.
      logp_of: batch -> [B, A, K] log-probabilities, e.g. a jitted model call and
        `answer_log_probs`.

    Returns:
      One item per target, in the order of the targets.

    Raises:
      ItemError: an ask is answered twice or never, or an index points to no target.
    """
    found: dict[int, np.ndarray] = {}
    for batch in batches:
        index_BA = np.asarray(batch["ask_index_BA"])
        logp_BAK = np.asarray(logp_of(batch))
        for row, slot in zip(*np.nonzero(index_BA >= 0), strict=True):
            index = int(index_BA[row, slot])
            if index >= len(targets):
                raise ItemError(
                    f"ask index {index} of a batch points to none of {len(targets)} asks"
                )
            if index in found:
                raise ItemError(f"item {targets[index].item_id!r} was read twice from the batches")
            found[index] = logp_BAK[row, slot, : len(targets[index].support)]
    missing = [target.item_id for k, target in enumerate(targets) if k not in found]
    if missing:
        raise ItemError(
            f"item {missing[0]!r} was not answered ({len(missing)} of {len(targets)} asks are "
            "in no batch); evaluation must pack every ask"
        )
    return [target.answered(model, found[k]) for k, target in enumerate(targets)]
