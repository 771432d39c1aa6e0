"""A scenario while a motif writes it: program, simulation, observations, asks, sentences.

The order is fixed by construction: nodes are declared with the words that tell them, `simulate`
draws one world from the program's own prior predictive, and only then observations and asks are
added, from that world. So every number that is told is a number of the program.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import numpy as np

from ppt_jax.authoring import wording
from ppt_jax.authoring.draft import Draft, Knobs, Quantity, as_program
from ppt_jax.authoring.implied import Implied, implied_amount, implied_chance
from ppt_jax.authoring.language import counted, fix_articles, number, sentence
from ppt_jax.authoring.names import pick_people, pick_town
from ppt_jax.authoring.skins.skin import Skin
from ppt_jax.authoring.wording import Told
from ppt_jax.errors import UserError
from ppt_jax.inference.simulate import sample_prior
from ppt_jax.scenario.document import flat_name

SkinT = TypeVar("SkinT", bound=Skin)
ItemT = TypeVar("ItemT")

PRIOR_DRAWS = 1024
"""Size of the prior sample: draw 0 is the world, all of them set ranges and check plausibility."""


class NoWorldError(UserError):
    """None of the simulated worlds shows what a motif wants to tell."""


class Sketch(Generic[SkinT]):
    """Collects what a motif's builder writes; see the module's docstring and docs/motifs.md.

    Attributes:
      rng: the scenario's own generator.
      skin: the words of the domain.
      knobs: the ranges that the config allows.
      sightings: flat names of the draws that `see` and `see_pick` were called for, in order.
      looked: flat names whose value in the world the motif looked at by itself.
      quantities: what `ask_value` asked about.
    """

    def __init__(
        self,
        motif: str,
        skin: SkinT,
        knobs: Knobs,
        rng: np.random.Generator,
        *,
        rewrite: Callable[[Sketch[Any]], None] | None = None,
        hidden: Mapping[str, str] | None = None,
    ) -> None:
        """An empty sketch.

        Args:
          motif: its name.
          skin: see the class.
          knobs: see the class.
          rng: see the class.
          rewrite: changes the program (`rows`, `rules`) before the world is drawn.
          hidden: flat names of draws that `see` and `see_pick` do not observe, with the words that
            stand in place of their values.
        """
        self.motif, self.skin, self.knobs, self.rng = motif, skin, knobs, rng
        self.sightings: list[str] = []
        self.looked: set[str] = set()
        self.quantities: list[Quantity] = []
        self._rewrite, self._hidden = rewrite, dict(hidden or {})
        self._declared: list[str] = []
        self.town = pick_town(rng)
        self.in_order = False
        self._people: list[str] = []
        self._sets: dict[str, list[str]] = {}
        self._model: list[dict[str, Any]] = []
        self._draws: set[str] = set()
        self._given: list[dict[str, Any]] = []
        self._ask: list[dict[str, Any]] = []
        self._setting: list[str] = []
        self._rules: list[str] = []
        self._events: list[str] = []
        self._prior: dict[str, np.ndarray] = {}
        self._seen: dict[str, float] = {}
        self._implied: list[tuple[dict[str, Any], Implied]] = []
        self._told = "full"

    # ------------------------------------------------------------------ chance decisions

    def choose(self, items: Sequence[ItemT]) -> ItemT:
        """One of the items, each equally likely."""
        return items[int(self.rng.integers(len(items)))]

    def shuffled(self, items: Sequence[ItemT]) -> list[ItemT]:
        """The items in random order."""
        return [items[int(i)] for i in self.rng.permutation(len(items))]

    def some(self, items: Sequence[ItemT], count: int) -> list[ItemT]:
        """`count` different items in random order."""
        return self.shuffled(items)[:count]

    def maybe(self, chance: float = 0.5) -> bool:
        """True with the given chance."""
        return bool(self.rng.random() < chance)

    def entities(self, low: int, high: int) -> int:
        """A number of entities in [low, high], cut to the config's range and moved by length."""
        return self._size(low, high, self.knobs.entities)

    def observations(self, low: int, high: int) -> int:
        """A number of observations in [low, high], cut to the config's range, moved by length."""
        return self._size(low, high, self.knobs.observations)

    def _size(self, low: int, high: int, allowed: tuple[int, int]) -> int:
        low, high = max(low, min(allowed[0], high)), min(high, max(allowed[1], low))
        draws = self.rng.integers(low, high + 1, size=3)
        which = {"short": 0, "medium": 1, "long": 2}[self.knobs.length]
        # A mixture of the plain draw and the order statistic, so every size keeps some chance.
        return int(draws[0] if self.maybe(0.35) else np.sort(draws)[which])

    def chance(self, low: float, high: float, *, form: str = "") -> Told:
        """A probability in exact words, see `wording.pick_chance`.

        At told-level "implicit", where no form is asked for, it is a hidden draw over the range.
        """
        knobs = self.knobs
        if self.implicit and not form:
            told = implied_chance(low, high, f"implied_{len(self._implied) + 1}")
            return self._imply(low, high, told)
        chance = wording.pick_chance(
            self.rng, low, high, knobs.told, form=form, forms=knobs.chances
        )
        self._told = "verbal" if chance.form == "verbal" else self._told
        return chance

    def number(self, low: float, high: float, step: float = 0.0) -> Told:
        """A plain number, see `wording.pick_number`."""
        return wording.pick_number(self.rng, low, high, step)

    def typical(self, low: float, high: float, step: float = 0.0) -> Told:
        """A number that only `wording.bell` prints and that the domain may imply.

        A plain number, except at told-level "implicit", where it is a hidden draw over the range.
        """
        if not self.implicit:
            return self.number(low, high, step)
        told = implied_amount(low, high, f"implied_{len(self._implied) + 1}")
        return self._imply(low, high, told)

    @property
    def implicit(self) -> bool:
        """Whether numbers that the domain implies are left out; not after `simulate`."""
        return self.knobs.told == "implicit" and not self._prior

    def _imply(self, low: float, high: float, told: Implied) -> Implied:
        self.draw(told.code, f"uniform(low={number(low)}, high={number(max(high, low + 0.01))})")
        self._implied.append((self._model[-1], told))
        return told

    def implies(self) -> None:
        """States that a rule leaves a number of the program to what the domain implies."""
        self._told = "implicit"

    def people(self, count: int) -> list[str]:
        """New people's names."""
        self._people += pick_people(self.rng, count, avoid={*self._people, self.town})
        return self._people[-count:] if count else []

    @property
    def place(self) -> str:
        """The skin's place with this scenario's town, e.g. "at the Kelmere boat club"."""
        return self.skin.place.format(town=self.town)

    # ------------------------------------------------------------------ the program

    def set(self, name: str, members: Sequence[str]) -> list[str]:
        """Declares a set; returns its members."""
        self._sets[name] = list(members)
        return list(members)

    def draw(
        self, name: str, expr: str, *, per: str | Sequence[str] = (), unit: str = "", says: str = ""
    ) -> None:
        """Declares a random node, e.g. ``s.draw("power", "normal(mean=50, sd=15)", per="rower")``.

        Args:
          name: node name.
          expr: draw formula; numbers as the `code` of a `Told`.
          per: set or sets that index it.
          unit: unit of the quantity, "" for yes/no, picks and probabilities.
          says: the words of the story that tell this node, verbatim (usually ``s.rule(...)``).
        """
        self._node("draw", name, expr, per, unit, says)
        self._draws.add(name)

    def let(
        self, name: str, expr: str, *, per: str | Sequence[str] = (), unit: str = "", says: str = ""
    ) -> None:
        """Declares a deterministic node, see `draw`."""
        self._node("let", name, expr, per, unit, says)

    def _node(
        self, kind: str, name: str, expr: str, per: str | Sequence[str], unit: str, says: str
    ) -> None:
        axes = [per] if isinstance(per, str) else list(per)
        self._model.append(
            {"name": name, "per": axes, "kind": kind, "expr": expr, "unit": unit, "says": says}
        )

    # ------------------------------------------------------------------ sentences

    def setting(self, text: str) -> str:
        """Adds an introducing sentence; returns its text (for a `says` span)."""
        text = fix_articles(text)
        self._setting.append(sentence(text))
        return text

    def rule(self, text: str) -> str:
        """Adds a sentence that tells a part of the program; returns its text."""
        text = fix_articles(text)
        self._rules.append(sentence(text))
        return text

    def event(self, text: str) -> str:
        """Adds a sentence that tells what was seen; returns its text."""
        text = fix_articles(text)
        self._events.append(sentence(text))
        return text

    # ------------------------------------------------------------------ the world

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The nodes so far, as rows of the document, for `rewrite`."""
        return self._model

    @property
    def rules(self) -> list[str]:
        """The sentences of the program so far."""
        return self._rules

    def simulate(
        self,
        shows: Callable[[Mapping[str, np.ndarray]], np.ndarray] | None = None,
        *,
        draws: int = PRIOR_DRAWS,
    ) -> None:
        """Draws the world (and a prior sample) from the program; afterwards `see` and ask.

        Args:
          shows: from the prior sample (flat name -> [draws]) to [draws], whether the world may be
            that draw; the first such one is taken. It may look at nothing but what is observed in
            full afterwards: then the choice tells no more about what is hidden than the evidence.
          draws: size of the prior sample.

        Raises:
          NoWorldError: no draw will do.
        """
        if self._rewrite:
            self._rewrite(self)
        program = as_program(self.motif, self.skin.domain, self._set_rows(), self._model)
        self._prior = sample_prior(program, self.rng, draws)
        if shows is None:
            return
        fitting = np.flatnonzero(shows(self._prior))
        if not len(fitting):
            raise NoWorldError(f"{self.motif}: none of {draws} worlds shows what is wanted")
        for values in self._prior.values():
            values[[0, fitting[0]]] = values[[fitting[0], 0]]

    def value(self, node: str, *index: str, digits: int = 6) -> float:
        """A node's value in the world, rounded; `index` are set members."""
        self.looked.add(flat_name(node, index))
        return self._world(node, *index, digits=digits)

    def _world(self, node: str, *index: str, digits: int = 6) -> float:
        return round(float(self.samples(node, *index)[0]), digits) + 0.0

    def samples(self, node: str, *index: str) -> np.ndarray:
        """A node's prior sample, e.g. to choose a threshold; the world is its first entry."""
        return np.asarray(self._prior[flat_name(node, index)], dtype=np.float64)

    def member(self, node: str, of: str, *index: str) -> str:
        """The member that a pick-draw took in the world."""
        return self._sets[of][int(self.value(node, *index))]

    def see(self, says: str, node: str, *index: str, digits: int = 0) -> str:
        """Observes a numeric draw at its value rounded to `digits`, exactly as told.

        Args:
          says: the words with ``{}`` where the number stands, e.g. "Ann scored {}".
          node: the observed draw.
          index: its set members.
          digits: decimals told; the rounded value is what enters `given`.

        Returns:
          The words with the number filled in; put them into an `event`.
        """
        if missed := self._missed(says, node, index):
            return missed
        value = self._world(node, *index, digits=digits)
        unit = next(row["unit"] for row in self._model if row["name"] == node)
        text = says.format(number(value))
        if unit and value == 1:
            text = re.sub(rf"\b1 {re.escape(unit)}\b", counted("1", unit), text)
        span = fix_articles(text)
        self._observe(node, index, value, number(value), span)
        return span

    def see_yes(self, yes: str, no: str, node: str, *index: str) -> str:
        """Observes a yes/no draw: the words for the way it came out are returned."""
        value = self._world(node, *index)
        span = fix_articles(yes if value else no)
        self._observe(node, index, value, number(value), span)
        return span

    def see_pick(self, says: str, node: str, of: str, *index: str) -> str:
        """Observes a pick-draw; ``{}`` in `says` is replaced by the member."""
        if missed := self._missed(says, node, index):
            return missed
        value = self._world(node, *index)
        member = self._sets[of][int(value)]
        span = fix_articles(says.format(member))
        self._observe(node, index, value, repr(member), span)
        return span

    def _missed(self, says: str, node: str, index: tuple[str, ...]) -> str:
        """Words of an observation that is not made, "" when it is.

        They tell its node, or nothing and are declared so; then they may hold no number, since the
        numbers of what is declared are not read as the program's.
        """
        self.sightings.append(flat_name(node, index))
        mark = self._hidden.get(self.sightings[-1], "")
        if not mark:
            return ""
        span = fix_articles(says.format(mark))
        row = next(row for row in self._model if row["name"] == node)
        if not row["per"] and row["says"] in span:
            row["says"] = span
        elif wording.read_numbers(re.sub("|".join(map(re.escape, (mark, *index))), "", span)):
            return ""
        else:
            self._declared.append(span)
        return span

    def _observe(
        self, node: str, index: tuple[str, ...], value: float, code: str, span: str
    ) -> None:
        self._seen[flat_name(node, index)] = value
        self._given.append({"that": f"{reference(node, *index)} == {code}", "says": span})

    def fact(self, that: str, says: str) -> str:
        """Adds a hard fact, a boolean formula that holds in the world; returns its words."""
        span = fix_articles(says)
        self._given.append({"that": that, "says": span})
        return span

    # ------------------------------------------------------------------ asks

    def ask_value(
        self,
        node: str,
        *index: str,
        what: str,
        unit: str = "",
        low: float | None = None,
        high: float | None = None,
        floor: float | None = None,
        ceiling: float | None = None,
    ) -> None:
        """Asks for a quantity; the range comes from the prior sample unless given.

        Args:
          node: draw or let node.
          index: its set members.
          what: noun phrase, e.g. "Juno's usual pulling power".
          unit: as in the node; "" when the phrase says it.
          low: lower end of the range.
          high: upper end of the range.
          floor: the quantity cannot be below (0 for a count); used for the automatic range.
          ceiling: the quantity cannot be above.
        """
        self.quantities.append(Quantity(node, index, what, unit))
        ends = wording.round_range(self.samples(node, *index), floor=floor, ceiling=ceiling)
        inside = f", in {unit}" if unit else ""
        text = self.choose(
            (f"What is {what}{inside}?", f"What is your best estimate of {what}{inside}?")
        )
        self._add_ask(
            "value",
            reference(node, *index),
            text,
            unit=unit,
            low=ends[0] if low is None else low,
            high=ends[1] if high is None else high,
        )

    def ask_rank(
        self, node: str, *index: str, who: str, group: str, lowest: str, highest: str
    ) -> None:
        """Asks for the standing among 100 of the node's prior, 100 being the highest value.

        Args:
          node: a draw or let node.
          index: its set members.
          who: whose standing.
          group: plural noun, e.g. "rowers of the club".
          lowest: superlative of the low end, e.g. "weakest".
          highest: superlative of the high end, e.g. "strongest".
        """
        text = self.choose(
            (
                f"If 100 {group} stood in line, {lowest} to {highest}, where would {who} stand?",
                f"Among 100 {group}, ranked from {lowest} (0) to {highest} (100), where is {who}?",
            )
        )
        self._add_ask("rank", reference(node, *index), text)

    def ask_chance(self, expr: str, clause: str) -> None:
        """Asks how likely a repeatable future event is; `expr` is a probability.

        Args:
          expr: probability-valued formula.
          clause: the event, e.g. "Juno beats Teo in their next race".
        """
        text = self.choose(
            (
                f"What is the chance that {clause}?",
                f"How likely is it that {clause}?",
                f"In 100 such cases, how often would it happen that {clause}?",
            )
        )
        self._add_ask("chance", expr, text)

    def ask_yes(self, expr: str, question: str) -> None:
        """Asks whether a boolean formula is true; options "no" and "yes"."""
        self._add_ask("choice", expr, question, options=["no", "yes"])

    def ask_either(self, left: str, right: str, options: tuple[str, str], question: str) -> None:
        """Asks which of two quantities is larger; the order of the options is random.

        Args:
          left: formula of the first quantity.
          right: formula of the second.
          options: the names that stand for left and right.
          question: e.g. "Who is stronger?"; may hold "{}" where the two names go ("Ann or Bo").
        """
        if self.maybe():
            left, right, options = right, left, (options[1], options[0])
        text = question.format(
            f"{options[1]} or {options[0]}" if self.maybe() else " or ".join(options)
        )
        self._add_ask("choice", f"{left} > {right}", text, options=[options[1], options[0]])

    def ask_which(self, node: str, *index: str, of: str, question: str) -> None:
        """Asks for the member that a pick-draw took; options are the set's members."""
        self._add_ask("choice", reference(node, *index), question, options=list(self._sets[of]))

    def _add_ask(self, kind: str, expr: str, text: str, **fields: Any) -> None:
        row = {"kind": kind, "expr": expr, "unit": "", "low": 0.0, "high": 1.0, "options": []}
        self._ask.append({**row, "text": fix_articles(text), **fields})

    # ------------------------------------------------------------------ the end

    def _set_rows(self) -> list[dict[str, Any]]:
        return [{"name": name, "members": members} for name, members in self._sets.items()]

    def finish(self) -> Draft:
        """The draft as frozen data."""
        self._claim_implied()
        truth = {
            flat: float(values[0])
            for flat, values in self._prior.items()
            if flat.split("[")[0] in self._draws
        }
        return Draft(
            sets=tuple(self._set_rows()),
            model=tuple(self._model),
            given=tuple(self._given),
            ask=tuple(self._ask),
            setting=tuple(self._setting),
            rules=tuple(self._rules),
            events=tuple(self._events),
            in_order=self.in_order,
            truth={**truth, **self._seen},
            prior={flat: self._prior[flat] for flat in self._seen},
            people=tuple(self._people),
            told=self._told,
            declared=tuple(self._declared),
        )

    def _claim_implied(self) -> None:
        """Gives each hidden draw the words that imply it; drops those that nothing uses."""
        text = " ".join((*self._setting, *self._rules)).lower()
        rows = (*self._model, *self._ask)
        formulas = " ".join([*(row["expr"] for row in rows), *(g["that"] for g in self._given)])
        for row, told in self._implied:
            if not re.search(rf"\b{row['name']}\b", formulas):
                self._model.remove(row)
                self._draws.remove(row["name"])
                continue
            self._told = "implicit"
            spoken = (fix_articles(words) for words in told.spoken)
            row["says"] = next((words for words in spoken if words.lower() in text), "")


def reference(node: str, *index: str) -> str:
    """A node as a formula writes it: ``power['Juno','Sunday']``.

    Example:
      >>> reference("power", "Juno")
      "power['Juno']"
    """
    return f"{node}[{','.join(repr(label) for label in index)}]" if index else node
