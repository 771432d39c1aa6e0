"""The way of one scenario, every stage answered by the offline author, with one flaw at a time."""

import dataclasses
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from ppt_jax.authoring.agreement import AgreementConfig
from ppt_jax.authoring.backends.protocol import FinishReason, Request, Response
from ppt_jax.authoring.checks import CheckConfig
from ppt_jax.authoring.llm.config import LLMAuthorConfig
from ppt_jax.authoring.llm.offline import OfflineAnswers
from ppt_jax.authoring.llm.plan import StoryPlan, plan_split
from ppt_jax.authoring.llm.stages import Refused, Written, write_story
from ppt_jax.errors import UserError
from ppt_jax.scenario.document import missing_spans, parse_scenario, to_dict

Answerer = Callable[[Request], tuple[str, FinishReason]]
SMALL = LLMAuthorConfig(
    model="m", train_size=1, motifs=("signal_detection",), held_out_motifs=(), held_out_family="",
    genres=("plain",), asides=(1, 1), repairs=2, retries=2,
    checks=CheckConfig(particles=1024, min_ess=50, max_words=400),
    agreement=AgreementConfig(min_ess=800),
)  # fmt: skip
PLAN: StoryPlan = plan_split(SMALL, "train")[0]


def run(
    answer: Answerer, config: LLMAuthorConfig = SMALL
) -> tuple[Written | Refused, list[Request]]:
    """Drives one scenario, and returns what it asked."""
    plan = plan_split(config, "train")[0]
    work, asked = write_story(plan, config), []
    try:
        request = next(work)
        while True:
            asked.append(request)
            text, reason = answer(request)
            response = Response(request.key, text, reason, prompt_tokens=100, completion_tokens=10)
            request = work.send(response)
    except StopIteration as stop:
        return stop.value, asked


def spoilt(stage: str, change: Callable[[str], tuple[str, FinishReason]], times: int) -> Answerer:
    """Offline answers, the first `times` of one stage changed."""
    plain, left = OfflineAnswers(), {"count": times}

    def answer(request: Request) -> tuple[str, FinishReason]:
        text, reason = plain(request)
        if request.purpose == stage and left["count"]:
            left["count"] -= 1
            return change(text)
        return text, reason

    return answer


def data(change: Callable[[dict[str, Any]], Any]) -> Callable[[str], tuple[str, FinishReason]]:
    def changed(text: str) -> tuple[str, FinishReason]:
        answer = json.loads(text)
        change(answer)
        return json.dumps(answer), "stop"

    return changed


def test_a_plan_becomes_a_scenario() -> None:
    result, asked = run(OfflineAnswers())
    assert isinstance(result, Written)
    assert [request.purpose for request in asked] == ["imagine", "formalise", "tell", "rebuild"]
    scenario = result.scenario
    assert parse_scenario(to_dict(scenario)) == scenario
    assert missing_spans(scenario) == []
    assert (scenario.evidence, scenario.told, scenario.split) == ("simulated", "full", "train")
    assert (scenario.genre, scenario.family, scenario.skin) == ("plain", "C", PLAN.domain)
    assert len(scenario.asides) == 1
    told = scenario.provenance
    assert told["author"] == "llm"
    assert told["requests"] == {request.purpose: [request.key] for request in asked}
    assert told["usage"] == {request.purpose: [1, 100, 10] for request in asked}
    assert [one["reason"] for one in told["agreement"]] == [""]
    assert (
        set(told["prompts"]) == set(told["models"]) == {"imagine", "formalise", "tell", "rebuild"}
    )
    assert run(OfflineAnswers())[0] == result


def test_chosen_evidence_takes_the_authors_values_and_has_no_truth() -> None:
    result, _ = run(OfflineAnswers(), dataclasses.replace(SMALL, evidence="chosen"))
    assert isinstance(result, Written)
    assert result.scenario.evidence == "chosen"
    assert dict(result.scenario.truth) == {}


CONTENT: Mapping[str, Callable[[str], tuple[str, FinishReason]]] = {
    "invalid_json": lambda text: (text[: len(text) // 2], "stop"),
    "length": lambda text: (text[: len(text) // 2], "length"),
    "refusal": lambda text: ("No.", "refusal"),
    "error": lambda text: ("", "error"),
    "schema": data(lambda answer: answer.pop("model", answer.pop("story", None))),
}


@pytest.mark.parametrize("reason", CONTENT)
@pytest.mark.parametrize("stage", ["formalise", "tell", "rebuild"])
def test_unusable_answers_take_new_samples_and_then_reject(reason: str, stage: str) -> None:
    result, asked = run(spoilt(stage, CONTENT[reason], SMALL.retries))
    assert isinstance(result, Written)  # the last sample was usable
    mine = [request for request in asked if request.purpose == stage]
    assert len({request.sample for request in mine}) == len(mine) == SMALL.retries + 1
    assert len({request.messages for request in mine}) == 1
    result, asked = run(spoilt(stage, CONTENT[reason], SMALL.retries + 1))
    assert isinstance(result, Refused)
    assert (result.stage, result.reason) == (stage, reason)
    assert sum(request.purpose == stage for request in asked) == SMALL.retries + 1
    assert [one.stage for one in result.tried].count(stage) == SMALL.retries + 1
    assert all(reason in one.found for one in result.tried if one.stage == stage)


def misspell(answer: dict[str, Any]) -> None:
    answer["ask"][0]["expr"] = answer["ask"][0]["expr"] + "x"


def lose_span(answer: dict[str, Any]) -> None:
    answer["given"][0]["says"] = "It was " + answer["given"][0]["says"]


WRONG: Mapping[str, tuple[str, Callable[[str], tuple[str, FinishReason]], str]] = {
    "jargon": ("imagine", lambda text: (text + " The posterior is known.", "stop"), "leak"),
    "short": ("imagine", lambda text: ("Too short to be notes.", "stop"), "length"),
    "misspelt": ("formalise", data(misspell), "c1_parse"),
    "rebuilt": ("rebuild", data(misspell), "c1_parse"),
    "code": (
        "formalise",
        data(lambda answer: answer["model"][0].update(expr="().__class__.__bases__")),
        "c1_parse",
    ),
    "settled": (
        "formalise",
        data(lambda answer: [node.update(expr="yes(p=0.5)") for node in answer["model"]
                             if node["expr"].startswith("yes")]),
        "c4b_moves",
    ),
    "span": ("tell", data(lose_span), "c6_spans"),
    "number": (
        "tell",
        data(lambda answer: answer.update(story=answer["story"] + " It was 4711 that day.")),
        "c5_numbers",
    ),
    "html": (
        "tell",
        data(lambda answer: answer.update(story="<script>x</script>" + answer["story"])),
        "markup",
    ),
    "huge": ("tell", data(lambda answer: answer.update(story="word " * 90_000)), "length"),
    "stranger": (
        "tell",
        data(lambda answer: answer["nodes"].append({"name": "__dict__", "says": ""})),
        "c6_spans",
    ),
    "twice": (
        "tell",
        data(lambda answer: answer["given"].append(answer["given"][0])),
        "c6_spans",
    ),
    "surrogate": (
        "tell",
        lambda text: (text.replace("This is", "\\ud800 This is", 1), "stop"),
        "c1_parse",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_fails_a_check_is_told_and_bounded(case: str) -> None:
    stage, change, check = WRONG[case]
    result, asked = run(spoilt(stage, change, 1))
    assert isinstance(result, Written), result
    mine = [request for request in asked if request.purpose == stage]
    assert len(mine) == 2
    repair = mine[1].messages
    assert [message.role for message in repair] == ["system", "user", "assistant", "user"]
    assert check in repair[-1].content
    result, asked = run(spoilt(stage, change, 100))
    assert isinstance(result, Refused)
    assert (result.stage, result.reason) == (stage, check)
    assert sum(request.purpose == stage for request in asked) == SMALL.repairs + 1


def swap(answer: dict[str, Any]) -> None:
    """The reader takes hits for false alarms."""
    for node in answer["model"]:
        node["expr"] = re.sub(
            r"([\d./]+) if (\w+) else ([\d./]+)", r"\3 if \2 else \1", node["expr"]
        )


def test_a_reader_who_understands_something_else_is_heard() -> None:
    result, asked = run(spoilt("rebuild", data(swap), 1))
    assert isinstance(result, Written)
    assert [request.purpose for request in asked][2:] == ["tell", "rebuild", "tell", "rebuild"]
    repair = asked[4].messages[-1].content
    assert "disagree: ask 'q" in repair
    assert "total variation" in repair  # the statistics are fed back
    result, asked = run(spoilt("rebuild", data(swap), 100))
    assert isinstance(result, Refused)
    assert (result.stage, result.reason) == ("rebuild", "disagree")
    assert result.story
    assert sum(request.purpose == "tell" for request in asked) == SMALL.repairs + 1


def test_the_blind_reader_never_gets_the_program() -> None:
    _, asked = run(OfflineAnswers())
    program, rebuild = asked[1], asked[3]
    answer = json.loads(OfflineAnswers()(program)[0])
    text = "".join(message.content for message in rebuild.messages)
    assert all(f'"{node["name"]}"' not in text for node in answer["model"])
    assert all(node["expr"] not in text for node in answer["model"])
    assert PLAN.idea not in text


def test_several_readers_write_independent_programs() -> None:
    config = dataclasses.replace(SMALL, programs_per_story=3)
    result, asked = run(OfflineAnswers(), config)
    assert isinstance(result, Written)
    rebuilds = [request for request in asked if request.purpose == "rebuild"]
    assert len({request.key for request in rebuilds}) == 2
    assert len({request.messages for request in rebuilds}) == 1
    assert len(result.scenario.provenance["agreement"]) == 2
    failing, _ = run(spoilt("rebuild", lambda text: ("", "refusal"), config.retries + 1), config)
    assert isinstance(failing, Written)  # one reader is enough
    assert len(failing.scenario.provenance["agreement"]) == 1


def test_flaws_are_validated() -> None:
    with pytest.raises(UserError, match="flaws: typo"):
        OfflineAnswers({"typo": 0.5})
    with pytest.raises(UserError, match="the LLM author's stages only"):
        OfflineAnswers()(Request(asked_elsewhere(), "m"))


def asked_elsewhere() -> Any:
    from ppt_jax.authoring.backends.protocol import Message

    return (Message("user", "Hello"),)
