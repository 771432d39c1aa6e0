"""Every motif: builds, agrees with its story, stores a true world, and is calibrated."""

import functools
import re

import numpy as np
import pytest
from scipy import stats

from ppt_jax.authoring.author import AuthorConfig, make_plan
from ppt_jax.authoring.checks import CheckConfig, check_truth
from ppt_jax.authoring.compose import write_scenario
from ppt_jax.authoring.genres import GENRES, Content, tell
from ppt_jax.authoring.motif import FAMILIES, all_motifs, find_motifs
from ppt_jax.authoring.produce import Rejected, produce
from ppt_jax.authoring.skins import all_skins
from ppt_jax.authoring.text_checks import check_text
from ppt_jax.errors import UserError
from ppt_jax.inference.program import lower
from ppt_jax.inference.simulate import node_values, replay
from ppt_jax.scenario.document import Scenario, parse_scenario, to_dict

# One builder makes all of family S; test_family_s.py has the others.
MOTIFS = tuple(
    name for name, motif in all_motifs().items() if motif.family != "S" or name == "sports_p2c1r0"
)
CONFIG = AuthorConfig(asides=(0, 2), told=("full", "verbal", "implicit"))
SEEDS = 20
SLIP = re.compile(r"[,;:.] ?[,;.]|[ (][,;.)]|  |\b(?!in\b|one\b)([A-Za-z]+) \1\b|\ban? [,;.)]")
CALIBRATED = 60


@pytest.mark.parametrize("name", MOTIFS)
def test_text_and_program_agree_on_every_seed(name: str) -> None:
    """Numbers read back, spans verbatim, labels named, sentences claimed, truth as told."""
    for number in range(SEEDS):
        scenario = write_scenario(make_plan(CONFIG, "train", name, number, 0)).scenario
        assert check_text(scenario) == [], scenario.story
        assert check_truth(scenario) == []
        assert parse_scenario(to_dict(scenario)) == scenario
        assert 25 <= len(scenario.story.split()) <= 250
        for text in (scenario.story, *(ask.text for ask in scenario.ask)):
            assert not SLIP.search(text), text
        assert len(scenario.ask) >= 2


@pytest.mark.parametrize("name", MOTIFS)
def test_stored_truth_makes_the_evidence_possible(name: str) -> None:
    for number in range(5):
        scenario = write_scenario(make_plan(CONFIG, "train", name, number, 0)).scenario
        program = lower(scenario)
        fixed = {column: scenario.truth[flat] for column, flat in enumerate(program.latents)}
        values = node_values(program.nodes, np.zeros((len(program.latents), 1)), 1, fixed)
        loglik = [float(np.asarray(values[i]).ravel()[0]) for i in program.loglik]
        assert np.all(np.isfinite(loglik)), scenario.id


@functools.cache
def _accepted(name: str) -> tuple[list[Scenario], int]:
    """Accepted scenarios among fixed first attempts, and how many were refused."""
    config = AuthorConfig()
    kept, refused = [], 0
    for number in range(CALIBRATED):
        result = produce(make_plan(config, "train", name, number, 0), config.checks, config.asks)
        if isinstance(result, Rejected):
            refused += 1
            assert result.reason not in ("c1_parse", "c5_numbers", "c6_spans", "coverage", "truth")
        else:
            kept.append(result)
    return kept, refused


@pytest.mark.parametrize("name", MOTIFS)
def test_most_attempts_are_accepted_with_mixed_asks(name: str) -> None:
    kept, refused = _accepted(name)
    assert refused <= 0.6 * CALIBRATED, f"{refused} of {CALIBRATED} refused"
    assert len({ask.kind for scenario in kept for ask in scenario.ask}) >= 2
    assert all(2 <= len(scenario.ask) <= 4 for scenario in kept)
    assert len({scenario.skin for scenario in kept}) >= 4


def _ranks(scenario: Scenario, rng: np.random.Generator, *powers: float) -> list[list[float]]:
    """Where the true answer of each ask falls in its posterior, ties broken at random.

    One list for each power that the likelihood is raised to, from the same particles.
    """
    program = lower(scenario)
    size = CheckConfig().particles
    values = node_values(program.nodes, rng, size)
    total_P = np.sum([np.broadcast_to(values[i], (size,)) for i in program.loglik], axis=0)
    _, truths = replay(scenario, scenario.truth)
    ranks = []
    for power in powers:
        weights_P = np.exp(power * (total_P - np.max(total_P)))
        weights_P /= weights_P.sum()
        ranks.append([])
        for node, truth in zip(program.asks, truths, strict=True):
            ask_P = np.broadcast_to(values[node], (size,))
            tied_P = np.isclose(ask_P, truth, rtol=1e-9, atol=1e-9)
            below = weights_P[(ask_P < truth) & ~tied_P].sum()
            ranks[-1].append(float(below + rng.random() * weights_P[tied_P].sum()))
    return ranks


@functools.cache
def _rank_pairs(name: str) -> list[tuple[list[float], list[float]]]:
    """Per accepted scenario the ranks under its posterior, and with the evidence twice."""
    rng = np.random.default_rng([7, *name.encode()])
    return [tuple(_ranks(scenario, rng, 1.0, 2.0)) for scenario in _accepted(name)[0]]


@pytest.mark.parametrize("name", MOTIFS)
def test_labels_would_be_calibrated_per_motif(name: str) -> None:
    """Truth ranks are uniform although scenarios and asks were selected by the checks."""
    by_place: list[list[float]] = [[], []]
    for sound, _ in _rank_pairs(name):
        for place, rank in enumerate(sound[:2]):
            by_place[place].append(rank)
    for ranks in by_place:
        assert stats.kstest(ranks, "uniform").pvalue > 5e-4


def test_labels_would_be_calibrated_over_all_motifs_and_the_test_has_power() -> None:
    pairs = [pair for name in MOTIFS for pair in _rank_pairs(name)]
    sound = [ranks[0] for ranks, _ in pairs]
    overconfident = [ranks[0] for _, ranks in pairs]
    assert len(sound) > 25 * len(MOTIFS)
    assert stats.kstest(sound, "uniform").pvalue > 0.01
    assert stats.kstest(_spread(sound), "uniform").pvalue > 0.01
    # Counting the evidence twice pushes true values into the tails.
    assert stats.kstest(_spread(overconfident), "uniform").pvalue < 1e-6


def _spread(ranks: list[float]) -> list[float]:
    """Distance of ranks from the middle, uniform again when the ranks are."""
    return [abs(2 * rank - 1) for rank in ranks]


def test_there_are_enough_motifs_families_and_skins() -> None:
    motifs = all_motifs().values()
    assert len(motifs) >= 20
    assert len({motif.family for motif in motifs}) >= 6
    assert {motif.family for motif in motifs} <= set(FAMILIES)
    assert len(all_skins()) >= 100
    assert len(GENRES) >= 12
    used = {skin.name for motif in motifs for skin in motif.skins()}
    assert used == set(all_skins()), "a skin that no motif uses"


@pytest.mark.parametrize("skin", all_skins().values(), ids=lambda skin: skin.name)
def test_skins_are_plain_words(skin: object) -> None:
    text = repr(skin)
    assert text.isascii()
    assert "  " not in text


def test_an_unknown_motif_is_refused_with_the_nearest_names() -> None:
    with pytest.raises(UserError, match=r"tug_of_wra.*did you mean tug_of_war"):
        find_motifs(["tug_of_wra"])


@pytest.mark.parametrize("genre", GENRES)
def test_genres_leave_every_sentence_as_it_is(genre: str) -> None:
    content = Content(
        setting=("It is a windy day.",),
        rules=("One in 3 gates is open.", "Nobody knows which."),
        events=("The north gate was open.", "The south gate was shut."),
        domain="gate keeping",
        speakers=("Ines", "Teo"),
    )
    stories = set()
    for seed in range(20):
        story = tell(genre, content, np.random.default_rng(seed))
        stories.add(story)
        for sentence in (*content.setting, *content.rules, *content.events):
            assert sentence in story
        assert story.index(content.rules[0]) < story.index(content.rules[1])
    assert len(stories) > 1


def test_the_same_plan_gives_the_same_document() -> None:
    plan = make_plan(CONFIG, "train", MOTIFS[0], 3, 0)
    assert to_dict(write_scenario(plan).scenario) == to_dict(write_scenario(plan).scenario)
    other = make_plan(CONFIG, "validation", MOTIFS[0], 3, 0)
    assert write_scenario(plan).scenario.story != write_scenario(other).scenario.story
