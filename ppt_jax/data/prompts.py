"""The text of an ask: story, question, answer scale, and the frame that a tokenizer puts around.

The story stands first, so that all asks of a scenario share it token by token; the assistant's
turn is prefilled with ``<``, so that the answer is a bare ``42>`` or ``Monday>``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from ppt_jax.data.supports import KINDS, OPEN
from ppt_jax.errors import UserError

INSTRUCTION = "Answer in angle brackets."
# Passed to every chat template, so that none writes today's date or opens a chain of thought.
_TEMPLATE_OPTIONS = {"date_string": "1 Jan 2026", "enable_thinking": False}


@dataclasses.dataclass(frozen=True)
class Prompt:
    """The text before the answer.

    Attributes:
      text: everything up to and including the prefilled ``<``.
      tail: offset (characters) of the last line or turn, from which answers are tokenised; the
        text before it is the same whatever the answer.
      story_end: offset (characters) just after the story.
    """

    text: str
    tail: int
    story_end: int


def _number(value: float) -> str:
    """A number as people write it: ``5``, ``0.25``, ``1500``."""
    return str(int(value)) if float(value).is_integer() else f"{value:.6g}"


def answer_scale(kind: str, unit: str, low: float, high: float, options: Sequence[str]) -> str:
    """One sentence that says how to answer; the direction and ends of the scale stand in it.

    Args:
      kind: ``value``, ``rank``, ``chance`` or ``choice``.
      unit: unit of the quantity (``value`` only, may be empty).
      low: quantity that answer 0 means (``value`` only).
      high: quantity that answer 100 means (``value`` only).
      options: names to choose from (``choice`` only).

    Raises:
      UserError: unknown kind.

    Example:
      >>> answer_scale("value", "hours", 5, 40, ())
      'Scale from 0 (5 hours) to 100 (40 hours).'
    """
    if kind == "value":
        suffix = f" {unit}" if unit else ""
        return f"Scale from 0 ({_number(low)}{suffix}) to 100 ({_number(high)}{suffix})."
    if kind == "rank":
        return "Standing among 100, from 0 (lowest) to 100 (highest)."
    if kind == "chance":
        return "Chance from 0 to 100."
    if kind == "choice":
        return f"Options: {', '.join(options)}."
    raise UserError(f"ask kind {kind!r}: must be one of {', '.join(KINDS)}")


def message(story: str, question: str, scale: str) -> str:
    """The user's message of an ask: what all asks of a scenario share, then what is its own."""
    return f"{story}\n\n{INSTRUCTION}\n{question}\n{scale}"


def frame(tokenizer: Any, story: str, question: str, scale: str) -> Prompt:
    """Puts the tokenizer's chat template (or a plain form) around a message and prefills ``<``.

    With a chat template: one user turn, the generation prompt, then ``<``. Without one (base
    models): begin-of-text token where the tokenizer has it, the message, a new line, ``Answer: <``.
    The text never ends in a space, so no tokenizer is left with a dangling one.

    Args:
      tokenizer: a `transformers` tokenizer.
      story: the scenario's story.
      question: the ask's text.
      scale: from `answer_scale`.

    Returns:
      The prompt with the offsets of its tail and of the story's end.

    Raises:
      UserError: the chat template changes the message, so that the story cannot be found in it.
    """
    content = message(story, question, scale)
    if getattr(tokenizer, "chat_template", None):
        head = tokenizer.apply_chat_template(
            [{"role": "user", "content": content}],
            tokenize=False,
            add_generation_prompt=True,
            **_TEMPLATE_OPTIONS,
        )
        at = head.find(content)
        if at < 0:
            raise UserError(
                "chat template: the rendered text does not contain the message as it is; "
                "a template that rewrites user text cannot be used"
            )
        tail = at + len(content)
        for token in tokenizer.all_special_tokens:
            found = head.rfind(token, at + len(content))
            if found >= 0:
                tail = max(tail, found + len(token))
        if tail == at + len(content):  # no special token after the message: the last line
            tail = max(tail, head.rfind("\n") + 1)
        return Prompt(text=head + OPEN, tail=tail, story_end=at + len(story))
    begin = getattr(tokenizer, "bos_token", None) or ""
    head = f"{begin}{content}\n"
    return Prompt(text=f"{head}Answer: {OPEN}", tail=len(head), story_end=len(begin) + len(story))
