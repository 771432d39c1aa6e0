"""Questions of a benchmark put to a model: items by readout."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from ppt_jax.errors import UserError
from ppt_jax.evaluation.benchmarks.protocol import Question
from ppt_jax.evaluation.items import Item, Target
from ppt_jax.evaluation.readouts.language_model import Asked, LanguageModel
from ppt_jax.evaluation.readouts.letters import read_letters
from ppt_jax.evaluation.readouts.likelihood import FORMS, read_likelihoods
from ppt_jax.evaluation.readouts.writing import Written, read_greedy, read_samples

READOUTS = ("trie", "letters", "likelihood", "sampling", "verbalised")
CHOICE_ONLY = ("letters", "likelihood")


@dataclasses.dataclass(frozen=True, eq=False)
class Posed:
    """One question ready to be put to a model.

    Attributes:
      target: what the answer is compared with.
      asked: story, question, scale and answers for trie, sampling and verbalised.
      stem: the same without lettered options in its text, for letters and likelihood.
      texts: what each option says; empty for numbers.
    """

    target: Target
    asked: Asked
    stem: Asked
    texts: tuple[str, ...]


def of_question(question: Question, task: str) -> Posed:
    """A benchmark's question (one that has a list of answers).

    Options that the benchmark has told as lettered lines at the end of its story are taken out of
    the stem, so that a readout that letters options itself does not show them twice.
    """
    target = question.target(question.subset or task, task)
    asked = Asked(question.id, question.story, question.question, question.scale, target.support)
    if question.kind != "choice":
        return Posed(target, asked, asked, ())
    texts = question.option_texts or question.options
    told = "\n".join(f"{name}. {text}" for name, text in zip(question.options, texts))
    story = question.story.removesuffix(told).rstrip("\n") if question.option_texts else asked.story
    return Posed(target, asked, dataclasses.replace(asked, story=story), tuple(texts))


def read_items_of(
    model: LanguageModel,
    name: str,
    posed: Sequence[Posed],
    readout: str,
    *,
    greedy: bool = False,
    samples: int = 20,
    seed: int = 0,
    tokens: int = 16,
    run_id: str = "",
) -> dict[str, list[Item]]:
    """Lets a model answer questions by one readout.

    Args:
      model: whom to ask.
      name: of the model, for the items.
      posed: the questions; letters and likelihood answer only those with options.
      readout: of `READOUTS`.
      greedy: also write a greedy text to every trie item, for agreement.
      samples, seed: of ``sampling``.
      tokens: written at most.
      run_id: for the items.

    Returns:
      Items by the readout's full name: ``likelihood`` gives three, the others one.

    Raises:
      UserError: an unknown readout.
    """
    if readout not in READOUTS:
        raise UserError(f"readout {readout!r} is none of {', '.join(READOUTS)}")
    used = [p for p in posed if readout not in CHOICE_ONLY or p.texts]
    asks, stems = [p.asked for p in used], [p.stem for p in used]
    texts = [p.texts for p in used]
    numeric = [p.target.kind != "choice" for p in used]
    fields = {"run_id": run_id}
    if readout == "trie":
        found = model.answer_log_probs(asks)
        said = read_greedy(model, asks, numeric, tokens=tokens) if greedy else None
        return {"trie": _items(name, used, found, "trie", said, fields)}
    if readout == "letters":
        return {
            "letters": _items(name, used, read_letters(model, stems, texts), readout, None, fields)
        }
    if readout == "likelihood":
        forms = read_likelihoods(model, stems, texts)
        names = {form: "likelihood" if form == "raw" else f"likelihood_{form}" for form in FORMS}
        return {
            names[form]: _items(name, used, forms[form], names[form], None, fields)
            for form in FORMS
        }
    if readout == "sampling":
        said = read_samples(model, asks, numeric, samples=samples, seed=seed, tokens=tokens)
        fields["seed"] = seed  # type: ignore[assignment]
    else:
        said = read_greedy(model, asks, numeric, tokens=tokens)
    return {readout: _items(name, used, [w.logp_K for w in said], readout, said, fields)}


def _items(
    name: str,
    posed: Sequence[Posed],
    logp: Sequence[np.ndarray | None],
    readout: str,
    said: Sequence[Written] | None,
    fields: Mapping[str, object],
) -> list[Item]:
    out = []
    for place, (p, logp_K) in enumerate(zip(posed, logp, strict=True)):
        extra = dict(fields) | {"readout": readout}
        if said is not None:
            extra |= {"greedy_text": said[place].text, "parsed": said[place].parsed}
        if logp_K is None:
            extra["parse_ok"] = False
        out.append(p.target.answered(name, logp_K, **extra))
    return out
