import re
from typing import Any

import numpy as np
import pytest

from ppt_jax.authoring.backends.json_answers import violations
from ppt_jax.authoring.llm import schemas
from ppt_jax.authoring.llm.drafts import Draft, check_draft, read_draft
from tests.authoring.llm.programs import PLAN, edited, ferry


def draft(data: dict[str, Any]) -> Draft:
    found = read_draft(PLAN, data, (2, 4))
    assert isinstance(found, Draft), found
    return found


def refusal(data: dict[str, Any]) -> str:
    found = read_draft(PLAN, data, (2, 4))
    assert not isinstance(found, Draft)
    assert {finding.check for finding in found} == {"c1_parse"}
    return "; ".join(finding.detail for finding in found)


def test_a_sound_answer_becomes_a_draft() -> None:
    assert violations(ferry(), schemas.FORMALISE) == []
    made = draft(ferry())
    assert [one.kind for one in made.observe] == [
        "reading", "reading", "reading", "reading", "event", "contest",
    ]  # fmt: skip
    assert made.means["rate"] == "late boardings a day at this quay"
    assert made.scenario.given == ()
    assert check_draft(made, np.random.default_rng(0), 2000) == []


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (edited("model", 1, expr="count(rate=rte)"), r"unknown name 'rte'; did you mean 'rate'"),
        (edited("model", 4, expr="yes(p=30)"), r"model\[4\]\.expr"),
        (edited("model", 0, expr="gamma(mean=6, rate=3)"), r"has no argument 'rate'"),
        (edited("model", 0, expr="__import__('os').system('x')"), r"model\[0\]\.expr"),
        (edited("model", 0, expr="(1).__class__"), r"model\[0\]\.expr"),
        (edited("model", 0, expr="9**9**9**9"), r"model\[0\]\.expr"),
        (edited("model", 0, name="__class__"), r"model\[0\]\.name"),
        (
            edited("observe", 4, what="speed['Gull'] > late['Monday']"),
            r"observe\[4\].*'points' with 'boardings'",
        ),
        (edited("observe", 0, what="late['Sunday']"), r"observe\[0\]\.what.*'Monday'"),
        (edited("observe", 0, what="late"), r"late\[a day\]"),
        (edited("observe", 0, what="late['Tuesday']"), "observed twice"),
        (edited("observe", 4, what="speed['Gull'] + 1"), r"observe\[4\]\.what"),
        (edited("observe", 4, what="speed['Gul'] > 3"), r"observe\[4\]\.what"),
        (edited("observe", 3, what="open('x')"), r"observe\[3\]\.what"),
        (edited("ask", 0, text="Tell the rate."), "no question"),
        (ferry(observe=[]), "at least one observation"),
        (ferry(ask=ferry()["ask"][:1]), "1 questions"),
    ],
)
def test_what_is_unsound_is_named_with_its_place(data: dict[str, Any], message: str) -> None:
    assert re.search(message, refusal(data)), refusal(data)


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (edited("observe", 0, low=40, high=300), "late['Monday']"),  # counts a week, not a day
        (edited("observe", 2, low=49, high=51), "meter['Gull']"),  # far too narrow
        (edited("model", 3, expr="normal(mean=speed[boat], sd=100)"), "meter['Gull']"),  # variance
    ],
)
def test_readings_that_do_not_lie_where_expected_are_found(data: dict[str, Any], part: str) -> None:
    findings = check_draft(draft(data), np.random.default_rng(0), 4000)
    assert [finding.check for finding in findings] == ["c2_expected"]
    assert part in findings[0].detail
    assert "half below" in findings[0].detail  # the program's own statistics are told


def test_a_prior_without_finite_values_is_found() -> None:
    data = edited("model", 3, expr="normal(mean=log(speed[boat] - 50), sd=4)")
    findings = check_draft(draft(data | {"observe": ferry()["observe"][:1]}),
                           np.random.default_rng(0), 2000)  # fmt: skip
    assert {finding.check for finding in findings} == {"c2_prior"}


def test_chosen_evidence_comes_with_its_values() -> None:
    data = ferry()
    del data["observe"]
    data["given"] = [{"that": "late['Monday'] == 4", "means": "Four on Monday"}]
    assert violations(data, schemas.FORMALISE_CHOSEN) == []
    made = draft(data)
    assert made.observe == ()
    assert made.given_means == ("Four on Monday",)
    assert [given.that for given in made.scenario.given] == ["late['Monday'] == 4"]
