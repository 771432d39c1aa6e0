r"""Time of the whole scoring path: all scores with bootstrap intervals and nulls.

Makes synthetic items (posteriors over the answers 0..100, two-way choices), scores them through
`ppt_jax.evaluation.tables.evaluate`, and prints a Markdown table of seconds. The first of two lines
includes compiling; with JAX_COMPILATION_CACHE_DIR set, a second run does not compile.

  python scripts/benchmark_scores.py --items=10000 --replicates=1000
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

import jax
import numpy as np
from absl import app, flags

from ppt_jax.evaluation import confidences
from ppt_jax.evaluation.items import PERCENT, Item
from ppt_jax.evaluation.tables import Evaluation, EvaluationConfig, evaluate

_ITEMS = flags.DEFINE_integer("items", 10_000, "items, each with an answer distribution")
_REPLICATES = flags.DEFINE_integer("replicates", 1_000, "bootstrap replicates and null simulations")
_CHOICES = flags.DEFINE_float("choices", 0.0, "share of items that are choices between two options")
_CONFIDENCES = flags.DEFINE_bool("confidences", True, "also time a column of confidences")


def make_items(count: int, share: float, seed: int = 0) -> list[Item]:
    """Items of one model whose answers are posteriors, half of the way to uniform in log space."""
    rng = np.random.default_rng(seed)
    grid = np.arange(101)
    items = []
    for n in range(count):
        choice = rng.random() < share
        if choice:
            q_K = rng.dirichlet([1.5, 1.5])
        else:
            q_K = np.exp(-0.5 * ((grid - rng.uniform(10, 90)) / rng.uniform(4, 20)) ** 2) + 1e-6
            q_K /= q_K.sum()
        p_K = q_K**0.5 / (q_K**0.5).sum()
        items.append(
            Item(
                item_id=f"s{n // 2}/{n % 2}",
                cluster_id=f"s{n // 2}",
                split="all",
                kind="choice" if choice else "value",
                support=("no", "yes") if choice else PERCENT,
                target_K=q_K,
                true_answer=int(rng.choice(len(q_K), p=q_K)),
                model="model",
                logp_K=np.log(p_K * 0.99),
            )
        )
    return items


def run(argv: Sequence[str]) -> None:
    del argv
    count, replicates = _ITEMS.value, _REPLICATES.value
    items = make_items(count, _CHOICES.value)
    config = EvaluationConfig(splits=("all",), replicates=replicates, pairs=())
    print(f"JAX {jax.__version__}, {jax.default_backend()}, {os.cpu_count()} cores")
    print(f"{count} items, {_CHOICES.value:.0%} of them choices, {replicates} replicates\n")
    print("| what | seconds |\n| --- | --- |")

    def timed(name: str, work: object) -> object:
        start = time.perf_counter()
        found = work()  # type: ignore[operator]
        print(f"| {name} | {time.perf_counter() - start:.2f} |", flush=True)
        return found

    for turn in ("compiling included", "again"):
        found = timed(f"`tables.evaluate`, {turn}", lambda: evaluate(items, config=config))
    assert isinstance(found, Evaluation)
    models = len(found.answers)
    if _CONFIDENCES.value:
        rng = np.random.default_rng(1)
        conf = rng.beta(2, 1, count)
        y = (rng.random(count) < conf).astype(float)
        weights = rng.multinomial(count, np.full(count, 1 / count), size=replicates).astype(float)

        def column() -> object:
            null = confidences.simulate_outcomes(conf, 0, replicates)
            return confidences.measure(conf, y, weights_RN=weights, null_RN=null, selective=True)

        for turn in ("compiling included", "again"):
            measured = timed(f"`confidences.measure`, {turn}", column)
    print(
        f"\n`evaluate` scored {models} models ({', '.join(found.answers)}): {len(found.rows)} rows."
    )
    if _CONFIDENCES.value:
        print(f"`measure` gave {len(measured)} numbers of one column.")  # type: ignore[arg-type]


if __name__ == "__main__":
    app.run(run)
