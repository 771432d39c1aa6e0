"""Settings of the LLM author."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal, get_args

from ppt_jax.authoring.agreement import AgreementConfig
from ppt_jax.authoring.checks import CheckConfig
from ppt_jax.authoring.genres import find_genres
from ppt_jax.authoring.llm import seeds
from ppt_jax.authoring.splits import SPLITS, SplitPlan, plan_splits
from ppt_jax.errors import UserError

Stage = Literal["imagine", "formalise", "tell", "rebuild"]
STAGES: tuple[Stage, ...] = get_args(Stage)
WRITTEN_SPLITS = tuple(s for s in SPLITS if s not in ("held_out_skins", "held_out_structures"))
"""Splits by motif and family; stories of a language model have no skins to hold out."""
EVIDENCE = ("simulated", "chosen")


@dataclasses.dataclass(frozen=True)
class StageConfig:
    """How one stage asks.

    Attributes:
      model: the model's name; empty for the author's own `model`.
      temperature: of sampling.
      max_tokens: of one answer.
    """

    model: str = ""
    temperature: float = 0.7
    max_tokens: int = 3000

    def __post_init__(self) -> None:
        if not self.temperature >= 0:
            raise UserError(f"temperature: {self.temperature} is negative")
        if self.max_tokens < 1:
            raise UserError(f"max_tokens: {self.max_tokens} is below 1")


@dataclasses.dataclass(frozen=True)
class LLMAuthorConfig:
    """What to write, and how much trouble to take over it.

    Attributes:
      model: name of the model that answers, as the back end knows it.
      seed: plans, simulations and sample indices follow from it.
      train_size, validation_size, seen_motifs_size, held_out_motifs_size, held_out_family_size:
        scenarios wanted of each split.
      motifs, held_out_motifs, held_out_family: as of the offline author.
      domains, personas: "all", or the ones to use.
      genres: "all", or names of genres.
      told: levels of telling, of "full", "verbal" and "implicit"; each equally often. Name one
        twice to have it twice as often.
      difficulties: of "easy", "medium" and "hard"; likewise.
      entities, observations, asides, asks: smallest and largest number of each.
      evidence: "simulated" draws observations from the program (labels can then be tested against
        the truth); "chosen" leaves them to the author.
      programs_per_story: programs whose labels are averaged: the story's own and, beyond one,
        independent ones written from the story alone.
      attempts: plans tried for one place before it stays empty.
      repairs: times that a stage is told what was wrong with its answer.
      retries: new samples of a stage after an unusable answer (no JSON, refusal, cut off).
      worlds: simulated worlds tried for one program.
      in_flight: scenarios worked on at a time, so that a back end always has requests.
      shards: files per split.
      finish: when a budget ends the work, write what is there and count the rest as rejects.
      novelty: a story that shares more than this part of its word 5-grams (Jaccard) with an earlier
        one is dropped.
      max_structure_share: largest share of a split that one program structure may have; 1 for no
        limit.
      imagine, formalise, tell, rebuild: how each stage asks.
      checks: thresholds of the checks.
      agreement: when the blind rebuild counts as agreeing.
      implicit_max_tv, implicit_max_shift: thresholds of agreement for told-level "implicit", where
        readers may rightly differ.
    """

    model: str = ""
    seed: int = 0
    train_size: int = 100
    validation_size: int = 0
    seen_motifs_size: int = 0
    held_out_motifs_size: int = 0
    held_out_family_size: int = 0
    motifs: str | tuple[str, ...] = "all"
    held_out_motifs: tuple[str, ...] = ("paired_ranking", "explaining_away")
    held_out_family: str = "G"
    domains: str | tuple[str, ...] = "all"
    personas: str | tuple[str, ...] = "all"
    genres: str | tuple[str, ...] = "all"
    told: tuple[str, ...] = ("full",)
    difficulties: tuple[str, ...] = ("easy", "medium", "hard")
    entities: tuple[int, int] = (2, 5)
    observations: tuple[int, int] = (2, 8)
    asides: tuple[int, int] = (0, 1)
    asks: tuple[int, int] = (2, 4)
    evidence: str = "simulated"
    programs_per_story: int = 1
    attempts: int = 3
    repairs: int = 2
    retries: int = 3
    worlds: int = 48
    in_flight: int = 256
    shards: int = 1
    finish: bool = False
    novelty: float = 0.8
    max_structure_share: float = 1.0
    imagine: StageConfig = StageConfig(temperature=1.0, max_tokens=1500)
    formalise: StageConfig = StageConfig(temperature=0.4, max_tokens=4000)
    tell: StageConfig = StageConfig(temperature=0.8, max_tokens=2500)
    rebuild: StageConfig = StageConfig(temperature=0.2, max_tokens=4000)
    checks: CheckConfig = dataclasses.field(default_factory=lambda: CheckConfig(max_words=260))
    agreement: AgreementConfig = dataclasses.field(default_factory=AgreementConfig)
    implicit_max_tv: float = 0.4
    implicit_max_shift: float = 1.0

    def __post_init__(self) -> None:
        for field, known in (("domains", seeds.DOMAINS), ("personas", seeds.PERSONAS)):
            names = _names(getattr(self, field))
            object.__setattr__(self, field, "all" if names == ("all",) else names)
            unknown = set() if names == ("all",) else set(names) - set(known)
            if unknown and field == "personas":
                raise UserError(f"personas: unknown {sorted(unknown)}; see llm/seeds.py")
        for field in ("motifs", "genres"):
            names = _names(getattr(self, field))
            object.__setattr__(self, field, "all" if names == ("all",) else names)
        for field, allowed in (("told", seeds.TOLD), ("difficulties", seeds.DIFFICULTIES)):
            names = _names(getattr(self, field))
            object.__setattr__(self, field, names)
            if not names or not set(names) <= set(allowed):
                raise UserError(f"{field}: {names} is not made of {', '.join(allowed)}")
        object.__setattr__(self, "held_out_motifs", _names(self.held_out_motifs))
        ranges = {"entities": 1, "observations": 1, "asides": 0, "asks": 1}
        for field, floor in ranges.items():
            pair = tuple(getattr(self, field))
            object.__setattr__(self, field, pair)
            if len(pair) != 2 or not floor <= pair[0] <= pair[1]:
                raise UserError(f"{field}: {pair} is no range; two numbers from {floor}, in order")
        if self.evidence not in EVIDENCE:
            raise UserError(f"evidence: {self.evidence!r} is none of {', '.join(EVIDENCE)}")
        floors = {"programs_per_story": 1, "attempts": 1, "shards": 1, "in_flight": 1, "worlds": 1}
        floors |= {"repairs": 0, "retries": 0, **{f"{split}_size": 0 for split in WRITTEN_SPLITS}}
        for field, floor in floors.items():
            if getattr(self, field) < floor:
                raise UserError(f"{field}: {getattr(self, field)} is below {floor}")
        for field in ("novelty", "max_structure_share", "implicit_max_tv"):
            if not 0 < getattr(self, field) <= 1:
                raise UserError(f"{field}: {getattr(self, field)} is not within 0 and 1")
        find_genres(self.genres)
        self.split_plan()

    def split_plan(self) -> SplitPlan:
        """The motifs of each split."""
        return plan_splits(self.motifs, self.held_out_motifs, self.held_out_family)

    def size(self, split: str) -> int:
        """Scenarios wanted of a split."""
        return int(getattr(self, f"{split}_size"))

    def stage(self, stage: Stage) -> StageConfig:
        """How a stage asks, its model filled in.

        Raises:
          UserError: no model is named.
        """
        found: StageConfig = getattr(self, stage)
        model = found.model or self.model
        if not model:
            raise UserError(f"model: name one, for all stages or as {stage}.model")
        return dataclasses.replace(found, model=model)

    def agreement_for(self, told: str) -> AgreementConfig:
        """The thresholds of agreement at a level of telling."""
        if told != "implicit":
            return self.agreement
        return dataclasses.replace(
            self.agreement, max_tv=self.implicit_max_tv, max_shift=self.implicit_max_shift
        )


def _names(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)
