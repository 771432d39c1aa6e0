"""Synthetic items with known posteriors and planted predictors, for the tests of this room."""

from __future__ import annotations

import numpy as np

from ppt_jax.evaluation.items import KINDS, PERCENT, Item, Target

Label = tuple[str, str, np.ndarray]


def make_target(
    rng: np.random.Generator, split: str, number: int, ask: int, **texts: str
) -> Target:
    kind = KINDS[rng.integers(4)]
    if kind == "choice":
        size = 2 if rng.random() < 0.7 else 3
        support = ("no", "yes") if size == 2 else ("Ada", "Bo", "Cy")
        q_K = rng.dirichlet(np.ones(size) * 1.2)
    else:
        support, size = PERCENT, 101
        grid = np.arange(101)
        q_K = np.exp(-0.5 * ((grid - rng.uniform(10, 90)) / rng.uniform(4, 15)) ** 2) + 1e-7
        q_K /= q_K.sum()
    truth = int(rng.choice(size, p=q_K))
    below = float(q_K[:truth].sum())
    scenario = f"{split}-{number:05d}"
    return Target(
        item_id=f"{scenario}/a{ask}",
        cluster_id=scenario,
        split=split,
        kind=kind,
        support=support,
        target_K=q_K,
        label_error=0.01,
        label_error_full=0.03,
        true_answer=truth,
        true_rank=None if kind == "choice" else below + float(q_K[truth] * rng.random()),
        motif="unseen" if split == "held_out_motifs" else f"motif{number % 5}",
        family="contests",
        question=texts.get("question", "How strong is Juno?"),
        story=texts.get("story", "Juno beat Teo twice."),
    )


def make_corpus(
    scenarios: int, seed: int = 0, **texts: str
) -> tuple[list[Item], list[Item], list[Label]]:
    """Test items of `before` and `after` (nearly right), validation items, training labels."""
    rng = np.random.default_rng(seed)
    test: list[Item] = []
    validation: list[Item] = []
    labels: list[Label] = []
    splits = ("seen_motifs", "held_out_motifs", "held_out_family", "validation", "train")
    for split in splits:
        for number in range(scenarios):
            for ask in range(3):
                target = make_target(rng, split, number, ask, **texts)
                if split == "train":
                    labels.append((target.motif, target.kind, target.target_K))
                    continue
                place = validation if split == "validation" else test
                size = len(target.support)
                for model, share, mass in (("before", 0.1, 0.7), ("after", 0.8, 0.99)):
                    p_K = share * target.target_K + (1 - share) / size
                    place.append(target.answered(model, np.log(p_K * mass)))
    return test, validation, labels
