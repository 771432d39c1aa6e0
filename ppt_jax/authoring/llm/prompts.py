"""Prompts: readable template files, filled in with plain data.

A prompt's version is a hash of the files (and of the language page) that it is made from; it is
stored with every scenario. What models wrote is put in as data and is never taken for a template.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import jinja2

from ppt_jax.authoring.backends.protocol import Message
from ppt_jax.authoring.llm.config import STAGES, Stage
from ppt_jax.authoring.llm.language_page import language_page
from ppt_jax.authoring.text_checks import Finding
from ppt_jax.authoring.wording import VERBAL
from ppt_jax.storage import content_hash

ADVICE: Final[Mapping[str, str]] = {
    "c1_parse": "Keep to the language as described.",
    "c2_prior": "Change the priors so that everything seen is plausible under them.",
    "c2_expected": "Change the program, or your expectation, so that both say the same. Mind "
    "units, and that a spread is a standard deviation and a chance lies between 0 and 1.",
    "c3_possible": "The observations contradict each other or the program.",
    "c3_ess": "Such observations are too rare under the program: widen priors or noise, or "
    "observe fewer things.",
    "c4_range": "Widen the range of the question, or narrow the prior.",
    "c4_certain": "The observations settle a question: make them less reliable, or ask another.",
    "c4b_moves": "A question is not moved by the observations: ask about something they bear on, "
    "or make them more reliable.",
    "c8_influence": "An observation bears on no question: drop it, or ask about what it bears on.",
    "c5_numbers": "Story and formulas must hold the same numbers.",
    "c6_spans": "Copy spans from the story character by character.",
    "c7_labels": "Use the names as they are written.",
    "coverage": "Cover every sentence that says something with a span, or list it as an aside.",
    "disagree": "Somebody who read nothing but your story arrived at other answers. Tell the "
    "mechanism and the observations so that they cannot be read in two ways; do not tell answers.",
    "unmatched": "Somebody who read nothing but your story could not pose the questions on it.",
    "impossible_evidence": "Somebody who read nothing but your story found its observations to "
    "contradict each other.",
    "undecided": "Somebody who read nothing but your story found its observations next to "
    "impossible. Tell priors and observations so that they fit together as in the formulas.",
}
"""What to do about a finding, by its check."""


@functools.cache
def _sources() -> dict[str, str]:
    folder = importlib.resources.files("ppt_jax.authoring.llm") / "templates"
    names = (*STAGES, "system", "repair")
    return {name: (folder / f"{name}.md").read_text(encoding="utf-8") for name in names}


@functools.cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.DictLoader(_sources()),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # plain text for a model; pages escape by themselves
        keep_trailing_newline=False,
    )


def prompt_version(stage: Stage) -> str:
    """Hash of everything that a stage's prompt is made from.

    Example:
      >>> prompt_version("tell") == prompt_version("tell") != prompt_version("rebuild")
      True
    """
    sources = _sources()
    return content_hash([sources["system"], sources[stage], sources["repair"], language_page()])


def first_messages(stage: Stage, **values: Any) -> tuple[Message, ...]:
    """The conversation that opens a stage.

    Args:
      stage: which prompt.
      values: what it is filled in with; `language`, `anchors` and `schema` (as text) are made here.

    Raises:
      jinja2.UndefinedError: a value is missing.
    """
    schema = values.pop("schema", None)
    anchors = "; ".join(f"{words}: {value:g}" for words, value in VERBAL.items())
    known = {"language": language_page(), "anchors": anchors, "schema": json.dumps(schema)}
    text = _environment().get_template(stage).render({**known, **values})
    return (Message("system", _sources()["system"].strip()), Message("user", text.strip()))


def repair_messages(
    messages: Sequence[Message], answer: str, findings: Sequence[Finding]
) -> tuple[Message, ...]:
    """A new conversation: the opening, the answer that failed, and what was found.

    Args:
      messages: the conversation that led to the answer; its opening is kept, earlier repairs are
        not.
      answer: the answer as it came.
      findings: of its checks, with their statistics.
    """
    advice = [
        ADVICE[check] for check in dict.fromkeys(f.check for f in findings) if check in ADVICE
    ]
    text = (
        _environment()
        .get_template("repair")
        .render(findings=list(findings)[:8], advice="\n".join(advice))
    )
    return (*messages[:2], Message("assistant", answer), Message("user", text.strip()))
