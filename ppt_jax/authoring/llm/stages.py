"""The way of one scenario: imagine, formalise, simulate, tell, rebuild.

`write_story` is a generator: it yields requests, is sent their responses, and ends with a story or
a reject. It knows nothing of other scenarios, so thousands can wait for one back end at a time, and
what it writes depends on its plan, the settings and the answers alone.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Sequence
from typing import Any

from ppt_jax.authoring.agreement import Agreement, as_json, compare_programs
from ppt_jax.authoring.llm import schemas, seeds
from ppt_jax.authoring.llm.config import STAGES, LLMAuthorConfig
from ppt_jax.authoring.llm.conversation import Asking, Conversation, StageFailed, Tried
from ppt_jax.authoring.llm.drafts import Draft, check_draft, read_draft
from ppt_jax.authoring.llm.gates import check_prose
from ppt_jax.authoring.llm.plan import StoryPlan
from ppt_jax.authoring.llm.prompts import first_messages, prompt_version
from ppt_jax.authoring.llm.rebuilding import questions, read_rebuilt
from ppt_jax.authoring.llm.telling import facts, read_story
from ppt_jax.authoring.llm.worlds import World, draw_world
from ppt_jax.authoring.text_checks import Finding
from ppt_jax.scenario.document import Scenario

NOTES_WORDS = (100, 450)  # asked for
NOTES_LIMITS = (60, 700)  # gated


@dataclasses.dataclass(frozen=True)
class Written:
    """A scenario that passed every check of its own; whether it is kept depends on the others."""

    plan: StoryPlan
    scenario: Scenario
    tried: tuple[Tried, ...]


@dataclasses.dataclass(frozen=True)
class Refused:
    """A plan that led nowhere, with all that was tried."""

    plan: StoryPlan
    stage: str
    reason: str
    detail: str
    story: str
    tried: tuple[Tried, ...]


class _Way:
    """One plan under way."""

    def __init__(self, plan: StoryPlan, config: LLMAuthorConfig) -> None:
        self.plan, self.config = plan, config
        self.tried: list[Tried] = []
        self.story = ""

    def talk(self, stage: Any, schema: Any, context: dict[str, Any], **values: Any) -> Conversation:
        """Opens a stage; `context` is for back ends that are no language model."""
        messages = first_messages(stage, plan=self.plan, schema=schema, **values)
        copies = self.config.repairs + self.config.retries + 1  # samples that one may take
        place = STAGES.index(stage) * 100 + context.get("copy", 0) * copies
        return Conversation(
            self.config, stage, messages, schema, self.plan.sample + place, self.tried,
            {
                "stage": stage,
                "plan": self.plan,
                "chosen": self.config.evidence == "chosen",
                **context,
            },
        )  # fmt: skip

    def imagine(self) -> Asking[str]:
        plan, config = self.plan, self.config

        def read(text: str) -> str | list[Finding]:
            return check_prose(text, NOTES_LIMITS, motif=plan.motif) or text.strip()

        talk = self.talk(
            "imagine", None, {}, words=NOTES_WORDS, asks=config.asks,
            difficulty=seeds.DIFFICULTIES[plan.difficulty], told=seeds.TOLD[plan.told],
        )  # fmt: skip
        return (yield from talk.ask(read))

    def formalise(self, notes: str) -> Asking[tuple[Draft, World]]:
        plan, config = self.plan, self.config
        chosen = config.evidence == "chosen"

        def read(data: Any) -> tuple[Draft, World] | list[Finding]:
            draft = read_draft(plan, data, config.asks)
            if isinstance(draft, list):
                return draft
            findings = check_draft(draft, plan.generator("prior"), config.checks.particles)
            if findings:
                return findings
            world = draw_world(draft, plan, config.checks, config.asks, config.worlds)
            return world if isinstance(world, list) else (draft, world)

        schema = schemas.FORMALISE_CHOSEN if chosen else schemas.FORMALISE
        talk = self.talk(
            "formalise", schema, {"notes": notes}, notes=notes, chosen=chosen, asks=config.asks
        )
        return (yield from talk.ask(read))

    def tell(self, notes: str, draft: Draft, world: World) -> Conversation:
        plan, most = self.plan, self.config.checks.max_words
        return self.talk(
            "tell", schemas.TELL, {"notes": notes, "draft": draft, "world": world},
            notes=notes, facts=facts(draft, world), most_words=most or 400,
            genre=seeds.GENRES.get(plan.genre, plan.genre.replace("_", " ")),
        )  # fmt: skip

    def read_told(self, world: World, data: Any) -> Scenario | list[Finding]:
        """The told document; its story is remembered for the rejects."""
        self.story = str(data["story"])
        return read_story(self.plan, world, data, self.config.checks)

    def rebuild(self, told: Scenario, copy: int) -> Asking[Scenario]:
        def read(data: Any) -> Scenario | list[Finding]:
            return read_rebuilt(told, data)

        verbal = {} if self.plan.told == "verbal" else {"anchors": ""}
        talk = self.talk(
            "rebuild", schemas.REBUILD, {"scenario": told, "copy": copy},
            story=told.story, questions=questions(told), **verbal,
        )  # fmt: skip
        return (yield from talk.ask(read))

    def rebuilds(self, told: Scenario) -> Asking[tuple[list[Scenario], list[Agreement]]]:
        """Independent programs of the story, and how far each agrees with its own.

        Raises:
          StageFailed: nobody wrote a sound one.
        """
        programs: list[Scenario] = []
        agreements: list[Agreement] = []
        failed: StageFailed | None = None
        config = self.config.agreement_for(self.plan.told)
        for copy in range(max(self.config.programs_per_story - 1, 1)):
            try:
                rebuilt = yield from self.rebuild(told, copy)
            except StageFailed as error:
                failed = error
                continue
            programs.append(rebuilt)
            agreements.append(compare_programs(told, rebuilt, config, seed=copy))
        if not programs:
            assert failed is not None
            raise failed
        return programs, agreements


def write_story(plan: StoryPlan, config: LLMAuthorConfig) -> Asking[Written | Refused]:
    """Takes a plan through all stages.

    Args:
      plan: of the quota table.
      config: settings.

    Returns:
      The scenario, or the reject with its stage and reason.
    """
    way = _Way(plan, config)
    try:
        notes = yield from way.imagine()
        draft, world = yield from way.formalise(notes)
        talk = way.tell(notes, draft, world)
        while True:
            told = yield from talk.ask(lambda data: way.read_told(world, data))
            programs, agreements = yield from way.rebuilds(told)
            if any(agreement.agree for agreement in agreements):
                break
            first = agreements[0]
            talk.reject([Finding(first.reason, first.detail)], "rebuild")
    except StageFailed as failed:
        return Refused(
            plan, failed.stage, failed.reason, failed.detail, way.story, tuple(way.tried)
        )
    finished = _finished(told, plan, config, programs, agreements, way.tried)
    return Written(plan, finished, tuple(way.tried))


def _finished(
    told: Scenario,
    plan: StoryPlan,
    config: LLMAuthorConfig,
    programs: Sequence[Scenario],
    agreements: Sequence[Agreement],
    tried: Sequence[Tried],
) -> Scenario:
    requests: dict[str, list[str]] = collections.defaultdict(list)
    for one in tried:
        requests[one.stage].append(one.key)
    provenance = {
        "author": "llm",
        "plan": plan.as_json(),
        "key": list(plan.key),
        "models": {stage: config.stage(stage).model for stage in STAGES},
        "prompts": {stage: prompt_version(stage) for stage in STAGES},
        "requests": dict(requests),
        "agreement": [as_json(agreement) for agreement in agreements],
        "usage": usage(tried),
    }
    sound = [
        program
        for program, agreement in zip(programs, agreements, strict=True)
        if agreement.reason in ("", "disagree")
    ]
    return dataclasses.replace(
        told,
        evidence=told.evidence or config.evidence,
        provenance=provenance,
        alternatives=tuple(sound) if config.programs_per_story > 1 else (),
    )


def usage(tried: Sequence[Tried]) -> dict[str, list[int]]:
    """Per stage: requests, tokens read, tokens written; a request asked again is paid once."""
    sums: dict[str, list[int]] = {}
    for one in {one.key: one for one in tried}.values():
        row = sums.setdefault(one.stage, [0, 0, 0])
        for place, value in enumerate((1, one.prompt_tokens, one.completion_tokens)):
            row[place] += value
    return sums
