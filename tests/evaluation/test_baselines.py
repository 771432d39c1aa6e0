import numpy as np
import pytest

from ppt_jax.errors import UserError
from ppt_jax.evaluation.baselines import fit_base_rate, uniform
from ppt_jax.evaluation.items import PERCENT, Target


def target(motif: str, kind: str, size: int) -> Target:
    return Target(
        item_id="s/a",
        cluster_id="s",
        split="seen_motifs",
        kind=kind,
        motif=motif,
        support=PERCENT if kind != "choice" else tuple("abcde"[:size]),
        target_K=np.full(size, 1 / size),
    )


def test_means_by_motif_then_kind_then_uniform() -> None:
    rng = np.random.default_rng(0)
    chess, rowing = rng.dirichlet(np.ones(101), 4), rng.dirichlet(np.ones(101), 2)
    labels = [("chess", "value", row) for row in chess] + [("rowing", "value", r) for r in rowing]
    labels += [("chess", "choice", [0.9, 0.1]), ("rowing", "choice", [0.3, 0.7])]
    labels += [("rowing", "choice", [0.2, 0.3, 0.5])]
    rate = fit_base_rate(labels)
    assert rate.n_labels == 9
    flat = np.full((1, 101), 1 / 101)
    own = np.concatenate([chess, flat]).mean(0)
    np.testing.assert_allclose(rate.predict(target("chess", "value", 101)), own)
    both = np.concatenate([chess, rowing, flat]).mean(0)
    np.testing.assert_allclose(rate.predict(target("new", "value", 101)), both)
    np.testing.assert_allclose(rate.predict(target("chess", "choice", 2)), [0.7, 0.3])
    np.testing.assert_allclose(rate.predict(target("new", "choice", 2)), [1.7 / 3, 1.3 / 3])
    # three options: never mixed with two; unseen for chess, so the kind's mean; five: uniform
    three = (np.array([0.2, 0.3, 0.5]) + 1 / 3) / 2
    np.testing.assert_allclose(rate.predict(target("chess", "choice", 3)), three)
    np.testing.assert_allclose(rate.predict(target("chess", "choice", 5)), 0.2)
    np.testing.assert_allclose(rate.predict(target("chess", "rank", 101)), 1 / 101)


def test_without_training_labels_the_base_rate_is_uniform() -> None:
    ask = target("chess", "value", 101)
    np.testing.assert_array_equal(fit_base_rate([]).predict(ask), uniform(ask))


@pytest.mark.parametrize(
    ("label", "word"),
    [
        (("m", "number", [0.5, 0.5]), "number"),
        (("m", "choice", [0.5, np.nan]), "no distribution"),
        (("m", "choice", [1.5, -0.5]), "no distribution"),
    ],
)
def test_bad_labels_are_refused(label: tuple[str, str, list[float]], word: str) -> None:
    with pytest.raises(UserError, match=word):
        fit_base_rate([label])
