import collections

import pytest

from ppt_jax.authoring.llm import seeds
from ppt_jax.authoring.llm.config import LLMAuthorConfig, StageConfig
from ppt_jax.authoring.llm.plan import next_attempt, plan_split
from ppt_jax.authoring.splits import SPLITS
from ppt_jax.errors import UserError

CONFIG = LLMAuthorConfig(
    model="m", train_size=150, validation_size=20, held_out_motifs_size=10,
    held_out_family_size=10, told=("full", "full", "verbal"),
)  # fmt: skip


def test_quotas_are_even() -> None:
    plans = plan_split(CONFIG, "train")
    assert len(plans) == 150
    for field, least in (("motif", 20), ("domain", 100), ("genre", 8), ("difficulty", 3)):
        counts = collections.Counter(getattr(plan, field) for plan in plans)
        assert len(counts) >= least
        assert max(counts.values()) - min(counts.values()) <= 1
    told = collections.Counter(plan.told for plan in plans)
    assert told == {"full": 100, "verbal": 50}
    pairs = {(plan.motif, plan.genre) for plan in plans}
    assert len(pairs) > 100  # columns are shuffled apart


def test_plans_follow_from_the_seed_and_keep_the_splits() -> None:
    assert plan_split(CONFIG, "train") == plan_split(CONFIG, "train")
    other = LLMAuthorConfig(model="m", seed=1, train_size=150)
    assert plan_split(other, "train") != plan_split(CONFIG, "train")
    trained = {plan.motif for plan in plan_split(CONFIG, "train")}
    assert {plan.motif for plan in plan_split(CONFIG, "validation")} <= trained
    for split in ("held_out_motifs", "held_out_family"):
        assert trained.isdisjoint({plan.motif for plan in plan_split(CONFIG, split)})
    assert plan_split(CONFIG, "seen_motifs") == []


def test_no_two_plans_share_samples_or_seeds() -> None:
    plans = [plan for split in SPLITS for plan in plan_split(CONFIG, split)]
    tried = [*plans, *(next_attempt(plan, CONFIG) for plan in plans)]
    assert len({plan.sample for plan in tried}) == len({plan.key for plan in tried}) == len(tried)
    assert len({plan.id for plan in plans}) == len(plans)


def test_another_attempt_keeps_the_quotas() -> None:
    for plan in plan_split(CONFIG, "train")[:30]:
        again = next_attempt(plan, CONFIG)
        for field in ("id", "motif", "genre", "told", "difficulty", "twist", "entities"):
            assert getattr(again, field) == getattr(plan, field)
        assert again.domain in seeds.DOMAINS
        assert again.attempt == 1
    moved = [p.domain != next_attempt(p, CONFIG).domain for p in plan_split(CONFIG, "train")]
    assert sum(moved) > 140


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"told": ("loud",)}, "told: "),
        ({"difficulties": ()}, "difficulties: "),
        ({"personas": ("nobody",)}, "personas: unknown"),
        ({"entities": (5, 2)}, r"entities: \(5, 2\)"),
        ({"evidence": "dreamt"}, "evidence: 'dreamt'"),
        ({"attempts": 0}, "attempts: 0"),
        ({"repairs": -1}, "repairs: -1"),
        ({"novelty": 0}, "novelty: 0"),
        ({"genres": ("opera",)}, "genres: unknown genre 'opera'"),
        ({"motifs": ("tug_of_wra",)}, "did you mean tug_of_war"),
        ({"train_size": -1}, "train_size: -1"),
    ],
)
def test_bad_fields_are_refused_by_name(fields: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        LLMAuthorConfig(**fields)  # type: ignore[arg-type]


def test_models_are_named_for_all_stages_or_each() -> None:
    assert CONFIG.stage("tell").model == "m"
    mixed = LLMAuthorConfig(model="m", rebuild=StageConfig(model="other"))
    assert mixed.stage("rebuild").model == "other"
    with pytest.raises(UserError, match=r"imagine\.model"):
        LLMAuthorConfig(rebuild=StageConfig(model="other")).stage("imagine")


def test_own_domains_are_taken() -> None:
    config = LLMAuthorConfig(model="m", train_size=4, domains=("a brewery", "a mill"))
    assert {plan.domain for plan in plan_split(config, "train")} == {"a brewery", "a mill"}
