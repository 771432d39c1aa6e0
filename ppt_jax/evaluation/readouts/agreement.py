"""Do readouts tell the same story? Distances between them, and agreement with the greedy text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ppt_jax.evaluation.intervals import bootstrap_mean
from ppt_jax.evaluation.items import Item
from ppt_jax.evaluation.readouts.writing import sampling_floor
from ppt_jax.evaluation.results import Row, row


def agreement_rows(
    model: str,
    by_readout: Mapping[str, Sequence[Item]],
    *,
    samples: int = 0,
    seed: int = 0,
    replicates: int = 1000,
) -> list[Row]:
    """Rows that compare every readout with the first, and every readout with the greedy text.

    ``readout_tv``: mean total variation between the two answer distributions. Its ``floor`` is,
    for sampled answers, what k draws from the first readout would show. ``readout_same_mode``:
    share of items whose most probable answers are the same. ``greedy_agreement``: share of items
    whose greedy text gives the readout's most probable answer; unparsed texts count as no.

    Args:
      model: name for the rows.
      by_readout: items of one model by readout, the reference first; only items that both have
        are compared, and ``n`` counts them.
      samples: k of the sampled readout.
      seed, replicates: of the clustered bootstrap.
    """
    names = list(by_readout)
    rows: list[Row] = []
    if not names:
        return rows
    reference = {item.item_id: item for item in by_readout[names[0]]}
    for name in names[1:]:
        pairs = [
            (reference[item.item_id], item)
            for item in by_readout[name]
            if item.item_id in reference
        ]
        floor = None
        if name == "sampling" and samples and pairs:
            draws = [sampling_floor(a.probs_K, samples) for a, _ in pairs]
            floor = float(np.mean(draws))
        tv = [0.5 * float(np.abs(a.probs_K - b.probs_K).sum()) for a, b in pairs]
        same = [float(np.argmax(a.probs_K) == np.argmax(b.probs_K)) for a, b in pairs]
        params = {"with": names[0], **({"samples": samples} if name == "sampling" else {})}
        for metric, values, higher in (
            ("readout_tv", tv, False),
            ("readout_same_mode", same, True),
        ):
            rows.append(
                _mean_row(
                    model,
                    metric,
                    values,
                    [b for _, b in pairs],
                    name,
                    params,
                    floor if metric == "readout_tv" else None,
                    higher,
                    seed,
                    replicates,
                )
            )
    for name in names:
        items = [item for item in by_readout[name] if item.greedy_text is not None]
        if items:
            agree = [float(i.parsed == i.support[int(np.argmax(i.probs_K))]) for i in items]
            rows.append(
                _mean_row(
                    model, "greedy_agreement", agree, items, name, {}, None, True, seed, replicates
                )
            )
    return rows


def _mean_row(
    model: str,
    metric: str,
    values: Sequence[float],
    items: Sequence[Item],
    readout: str,
    params: Mapping[str, object],
    floor: float | None,
    higher: bool,
    seed: int,
    replicates: int,
) -> Row:
    found = bootstrap_mean(
        np.asarray(values, float),
        np.ones(len(values)),
        [item.cluster_id for item in items],
        seed=seed,
        replicates=replicates,
    )
    tasks = sorted({item.task for item in items})
    splits = sorted({item.split for item in items})
    return row(
        model,
        metric,
        found.value,
        n=len(items),
        task=tasks[0] if len(tasks) == 1 else "",
        split=splits[0] if len(splits) == 1 else "",
        readout=readout,
        params=params,
        ci_low=found.low,
        ci_high=found.high,
        ci_method="percentile bootstrap over clusters",
        n_clusters=len({item.cluster_id for item in items}),
        n_parse_fail=sum(not item.parse_ok for item in items),
        floor=floor,
        higher_is_better=higher,
    )
