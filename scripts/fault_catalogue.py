"""A catalogue of faults: each a small change of a sound document, or None where it has no place."""

from __future__ import annotations

import dataclasses

from ppt_jax.scenario import syntax as sx
from scripts import faults_of_meaning as meaning
from scripts import faults_of_telling as telling
from scripts.fault_changes import Plant, argument, constant, in_formula, number, swap_digits


@dataclasses.dataclass(frozen=True)
class Fault:
    """A kind of mistake.

    Attributes:
      kind: ``program`` (unsound by itself), ``telling`` (words and program differ where words can
        be read), ``evidence``, ``question``, or ``meaning`` (only someone who understands the
        story can see it).
      name: what went wrong.
      plant: makes the change, in place; None where the document has no place for it.
    """

    kind: str
    name: str
    plant: Plant


FAULTS: tuple[Fault, ...] = (
    Fault("program", "misspelt name", telling.misspell),
    Fault("program", "unknown member", in_formula(telling.label, "given", "ask")),
    Fault("program", "used before it is defined", telling.later),
    Fault("program", "percent for probability", argument("yes", "p", telling.percent)),
    Fault("program", "standard deviation of 0", argument(
        "normal robust", "sd", lambda part: sx.Number(0.0))),
    Fault("program", "question in another unit", telling.unit),
    Fault("program", "chance of a fact", telling.chance_of_fact),
    Fault("program", "one draw observed twice", telling.seen_twice),
    Fault("program", "range from high to low", meaning.reversed_range),
    Fault("telling", "another prior or accuracy", in_formula(number(lambda x: x * 1.3), "model")),
    Fault("telling", "rate per hour for per day", in_formula(
        lambda p: sx.Binary("/", p, sx.Number(24.0)) if constant(p) is not None else None,
        "model")),
    Fault("telling", "variance as standard deviation", argument(
        "normal robust", "sd",
        lambda p: sx.Number(p.value**2) if isinstance(p, sx.Number) and p.value > 2 else None)),
    Fault("telling", "rounded parameter", in_formula(
        number(lambda x: round(x, 1) if x < 1 else round(x, -1) or x), "model")),
    Fault("telling", "mean and standard deviation interchanged", telling.parameters(
        "mean", "sd", "normal")),
    Fault("telling", "observed digits miscopied", in_formula(number(swap_digits), "given")),
    Fault("telling", "two observations interchanged", telling.observations_swapped),
    Fault("telling", "numbers of two nodes interchanged", telling.nodes_swapped),
    Fault("telling", "story has another number", telling.story_number),
    Fault("telling", "number told twice, differently", telling.told_again),
    Fault("telling", "span not verbatim", telling.paraphrase),
    Fault("telling", "evidence missing in the story", telling.sentence_lost),
    Fault("telling", "observation without words", telling.no_words),
    Fault("telling", "aside not verbatim", telling.aside),
    Fault("telling", "someone renamed in the story", telling.renamed),
    Fault("telling", "words in another unit", telling.told_unit),
    Fault("telling", "rule that no node claims", telling.words_dropped),
    Fault("telling", "unclaimed number", telling.added("The count by the gate came to 87.")),
    Fault("telling", "unclaimed event", telling.added("Then the power failed for a while.")),
    Fault("evidence", "told observation not entered", meaning.forgotten),
    Fault("evidence", "contradictory condition", meaning.contradicted),
    Fault("evidence", "observation outside its prior", meaning.far_off),
    Fault("evidence", "noise a thousandth", argument(
        "normal robust", "sd",
        lambda p: sx.Binary("/", p, sx.Number(1000.0)))),
    Fault("evidence", "off-by-one index", telling.next_member("given")),
    Fault("evidence", "inverted contest", meaning.inverted_contest),
    Fault("evidence", "inverted observation", meaning.inverted_observation),
    Fault("evidence", "observation counted twice", meaning.doubled),
    Fault("evidence", "observation not linked", meaning.unlinked),
    Fault("question", "range misses the posterior", meaning.range),
    Fault("question", "asks for what nothing bears on", meaning.asks_elsewhere),
    Fault("question", "answer given away", meaning.given_away),
    Fault("question", "asks about another member", telling.next_member("ask")),
    Fault("question", "wrong direction of a comparison", meaning.turned_question),
    Fault("question", "another threshold", meaning.other_threshold),
    Fault("question", "options in the wrong order", meaning.options),
    Fault("question", "no and yes in the wrong order", meaning.no_yes),
    Fault("question", "option nobody has heard of", meaning.strange_option),
    Fault("meaning", "swapped likelihood branches", in_formula(meaning.branches, "model")),
    Fault("meaning", "forgotten regime", in_formula(meaning.one_regime, "model")),
    Fault("meaning", "time runs backwards", in_formula(meaning.earlier, "model")),
    Fault("meaning", "change point off by one", in_formula(meaning.off_by_one, "model")),
    Fault("meaning", "difference for sum", in_formula(meaning.minus, "model")),
    Fault("meaning", "quotient for product", in_formula(meaning.times, "model")),
    Fault("meaning", "average for total", in_formula(meaning.whole_set)),
    Fault("meaning", "and for or", in_formula(meaning.and_or)),
    Fault("meaning", "one value for all", meaning.same_for_all),
    Fault("meaning", "complement of a chance", argument(
        "yes", "p",
        lambda p: sx.Binary("-", sx.Number(1.0), p) if constant(p) is not None else None)),
    Fault("meaning", "standard deviation squared", argument(
        "normal robust", "sd",
        lambda p: sx.Binary("**", p, sx.Number(2.0)) if constant(p) is not None else None)),
    Fault("meaning", "prior too narrow", argument(
        "normal robust", "sd",
        lambda p: sx.Call("sqrt", (p,)) if constant(p) is not None else None)),
)  # fmt: skip
