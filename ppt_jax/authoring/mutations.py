"""Structure mutations: the same motif with a program that is a little different.

Each changes the program and tells the change, so that labels stay what the story implies. They work
on what every motif writes (rows, sentences, observations), not inside motifs:

- ``hyperprior``: a told number of a prior becomes uncertain itself, with a told spread;
- ``confounder``: one more possible cause, or one unknown error or factor that all readings share;
- ``missing``: one observation is not made, by an accident that has nothing to do with its value;
- ``sensor``: one more noisy reading of a hidden quantity, with its told accuracy;
- ``irrelevant``: a told random fact that nothing asked depends on.

Which change comes is decided before the world is drawn, and never looks at hidden values. A change
that finds nothing to work on is left out.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from ppt_jax.authoring.draft import Draft, Knobs, Quantity
from ppt_jax.authoring.language import fix_articles, number, sentence
from ppt_jax.authoring.motif import Motif
from ppt_jax.authoring.sketch import Sketch, reference
from ppt_jax.authoring.skins.faults import Fault
from ppt_jax.authoring.skins.skin import Skin
from ppt_jax.authoring.text_checks import constants
from ppt_jax.authoring.wording import Told, pick_chance, pick_number, read_numbers
from ppt_jax.scenario.document import flat_name
from ppt_jax.scenario.expression import Draw, Expr, Number, parse_expression

MUTATIONS = ("hyperprior", "confounder", "missing", "sensor", "irrelevant")

_Row = dict[str, Any]

_MARKS = (
    ("[illegible]", "One entry cannot be read, because ink was spilt on it by pure chance"),
    ("[lost]", "One entry is lost: a scrap of the page, no matter which, was torn off"),
    ("[blank]", "One line was left blank, which has nothing to do with what belonged there"),
)
_HYPER_NORMAL = (
    "the average of {told} is itself only an estimate: the true one is normal around it with a"
    " standard deviation of {spread}",
    "nobody is quite sure of the average of {told}: the true one follows a bell curve around it,"
    " standard deviation {spread}",
)
_HYPER_FACTOR = (
    "the {noun} of {told} is itself only an estimate: the true one is log-normal around it, one"
    " standard deviation being a factor of {spread}",
    "nobody is quite sure of the {noun} of {told}: the true one is log-normal with this middle,"
    " and a factor of {spread} is one standard deviation",
)
_HYPER_SHARE = (
    "the rate of {told} is itself only an estimate, worth as much as {spread} cases (a beta curve"
    " around it)",
    "nobody is quite sure of the rate of {told}: the true one follows a beta curve around it, as if"
    " it came from {spread} earlier cases",
)
_SHARED_ERROR = (
    "all the figures reported here share one unknown error, on average 0, with a standard deviation"
    " of {spread}{unit} (bell curve)",
    "whoever took down the figures reported here made one and the same error in all of them,"
    " normal around 0 with a standard deviation of {spread}{unit}",
)
_SHARED_FACTOR = (
    "in the time reported here the season moved all expected counts up or down together, by a"
    " log-normal factor with median 1, where one standard deviation is a factor of {spread}",
    "one common influence multiplied all the expected counts reported here by an unknown factor:"
    " log-normal, median 1, and a factor of {spread} is one standard deviation",
)
_SHARED_SIZE = (
    "all the figures reported here are too high or too low by one common factor, log-normal with"
    " median 1, where one standard deviation is a factor of {spread}",
)
# Family, pattern of its formula, range of the spread (of the noise, or a factor), sentences.
_DISTURBANCES = (
    ("normal", r"normal\((mean)=(.*), (sd=)([\d.]+)\)", (0.4, 1.0), _SHARED_ERROR),
    ("count", r"count\((rate)=(.*)\)", (1.2, 1.5), _SHARED_FACTOR),
    (
        "lognormal",
        r"lognormal\((median)=(.*), (spread=)(log\([\d.]+\))\)",
        (1.2, 1.5),
        _SHARED_SIZE,
    ),
)
_SOURCES = (
    "outside estimate",
    "second opinion",
    "rough guess from outside",
    "independent estimate",
)
_DETAILS = (
    (
        "the evening paper comes late",
        "the evening paper came late",
        "the evening paper was on time",
    ),
    ("a kite hangs in the old oak", "a kite hung in the old oak", "no kite hung in the old oak"),
    ("the choir sings at noon", "the choir sang at noon", "the choir did not sing at noon"),
    ("the flag is taken in early", "the flag was taken in early", "the flag stayed up as usual"),
    ("the pastor wears a straw hat", "the pastor wore a straw hat", "the pastor wore no straw hat"),
    ("a juggler stands at the gate", "a juggler stood at the gate", "no juggler stood at the gate"),
    ("the soup has leek in it", "the soup had leek in it", "the soup had no leek in it"),
    ("somebody hums a waltz", "somebody hummed a waltz", "nobody hummed a waltz"),
)


@dataclasses.dataclass(frozen=True)
class Mutated:
    """A draft, and the names of the changes that were made."""

    draft: Draft
    applied: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class _Scout:
    """What a motif did without changes: its draft, and its calls after the world was drawn."""

    draft: Draft
    sightings: tuple[str, ...]
    looked: frozenset[str]


def mutated_draft(
    motif: Motif,
    skin: Skin,
    knobs: Knobs,
    rngs: tuple[np.random.Generator, np.random.Generator, np.random.Generator],
    wanted: Collection[str],
) -> Mutated:
    """A motif's draft with the wanted changes, where it has a place for them.

    Args:
      motif: the motif.
      skin: a skin of its kind.
      knobs: ranges.
      rngs: the generator of the scenario; another in the same state, with which the motif is run a
        first time, up to the world, to see what it does; and one for that world and the changes.
      wanted: names of `MUTATIONS`.
    """
    rng, twin, own = rngs

    def another_world(sketch: Sketch[Any]) -> None:
        sketch.rng = own

    first: Sketch[Any] = Sketch(motif.name, skin, knobs, twin, rewrite=another_world)
    motif.build(first)
    scout = _Scout(first.finish(), tuple(first.sightings), frozenset(first.looked))
    changes = _Changes(scout, frozenset(wanted), own)
    hidden = changes.pick_missing() if "missing" in wanted else {}
    sketch: Sketch[Any] = Sketch(
        motif.name, skin, knobs, rng, rewrite=changes.rewrite, hidden=hidden
    )
    motif.build(sketch)
    draft = changes.finish(sketch)
    return Mutated(draft, tuple(name for name in MUTATIONS if name in changes.applied))


class _Changes:
    """The changes of one scenario; `applied` says which came about."""

    def __init__(self, scout: _Scout, wanted: frozenset[str], rng: np.random.Generator) -> None:
        self.scout, self.wanted, self.rng = scout, wanted, rng
        self.applied: set[str] = set()
        self._mark = ("", "")

    def _any(self, items: Sequence[Any]) -> Any:
        return items[int(self.rng.integers(len(items)))]

    # ------------------------------------------------------------------ before the world is drawn

    def rewrite(self, sketch: Sketch[Any]) -> None:
        """Changes the program: `confounder` and `hyperprior`."""
        if "confounder" in self.wanted and (
            self._extra_cause(sketch) or self._shared_disturbance(sketch)
        ):
            self.applied.add("confounder")
        if "hyperprior" in self.wanted and self._hyperprior(sketch):
            self.applied.add("hyperprior")

    def _extra_cause(self, sketch: Sketch[Any]) -> bool:
        """One more cause in the noisy-or of a fault, one that the skin has and the motif left."""
        k = sketch.skin
        if not isinstance(k, Fault):
            return False
        names = {row["name"] for row in sketch.rows}
        free = [cause for cause in k.causes if cause.key not in names]
        effect = next((row for row in sketch.rows if row["name"] == k.effect), None)
        source = re.fullmatch(r"yes\(p=(\w+)\)", effect["expr"]) if effect else None
        chance = next((r for r in sketch.rows if source and r["name"] == source[1]), None)
        if not free or chance is None or chance["kind"] != "let":
            return False
        cause = self._any(free)
        share, power = pick_chance(self.rng, 0.08, 0.3), pick_chance(self.rng, 0.4, 0.9)
        says = sketch.rule(
            f"apart from all that, {share.of(k.cases)} {cause.does}, and this leads to"
            f" {k.effect_noun} {power.times()} by itself, whatever else holds",
        )
        place = sketch.rows.index(chance)
        chance["expr"] = f"1 - (1 - ({chance['expr']})) * (1 - {power.code} if {cause.key} else 1)"
        row = _row(cause.key, f"yes(p={share.code})", says)
        return _insert(sketch, place, row)

    def _shared_disturbance(self, sketch: Sketch[Any]) -> bool:
        """One error, or one factor, shared by all the readings that are told."""
        names = {flat.split("[")[0] for flat in self.scout.sightings}
        rows = [row for row in sketch.rows if row["name"] in names]
        if len(self.scout.sightings) < 2 or self._used_otherwise(sketch, names):
            return False
        for family, pattern, (low, high), forms in _DISTURBANCES:
            found = [re.fullmatch(pattern, row["expr"]) for row in rows]
            units = {row["unit"] for row in rows}
            parts = [match.groups() for match in found if match]
            if len(parts) < len(rows) or (family == "normal" and len(units) > 1):
                continue
            scale = min(float(last) for *_, last in parts) if family == "normal" else 1.0
            spread = pick_number(self.rng, low * scale, high * scale, 0.1 if scale == 1.0 else 0.0)
            unit = f" {rows[0]['unit']}" if rows[0]["unit"] else ""
            says = sketch.rule(self._any(forms).format(spread=spread, unit=unit))
            sign = "+" if family == "normal" else "*"
            for row, (head, centre, *rest) in zip(rows, parts, strict=True):
                tail = f", {rest[0]}{rest[1]}" if len(rest) == 2 else ""
                row["expr"] = f"{family}({head}=({centre}) {sign} shared{tail})"
            law = f"lognormal(median=1, spread=log({spread.code}))"
            if family == "normal":
                law = f"normal(mean=0, sd={spread.code})"
            own = rows[0]["unit"] if family == "normal" else ""
            return _insert(sketch, sketch.rows.index(rows[0]), _row("shared", law, says, own))
        return False

    def _used_otherwise(self, sketch: Sketch[Any], names: set[str]) -> bool:
        """Whether other nodes, asks or facts use the nodes that are seen."""
        texts = [row["expr"] for row in (*sketch.rows, *self.scout.draft.ask)]
        for given in self.scout.draft.given:
            observed = re.fullmatch(r"(\w+)(\[[^\]]*\])? == \S+", given["that"])
            if not observed or observed[1] not in names:
                texts.append(given["that"])
        return any(re.search(rf"\b{name}\b", text) for name in names for text in texts)

    def _hyperprior(self, sketch: Sketch[Any]) -> bool:
        """A number of one prior, told once and used once, becomes a draw around it."""
        text = " ".join(sketch.rules)
        told = [reading.value for reading in read_numbers(text)]
        found = []
        formulas = [_formula(row) for row in sketch.rows]
        formulas += [parse_expression(a["expr"], kind="ask") for a in self.scout.draft.ask]
        for row in sketch.rows:
            centre = _centre(row)
            if centre is None or row["name"] == "shared":
                continue
            argument, value, code = centre
            uses = sum(any(abs(c - value) < 1e-9 for c in constants(e)) for e in formulas)
            if uses == 1 and value not in (0.0, 1.0, 2.0) and told.count(value) == 1:
                found.append((row, argument, value, code))
        if not found:
            return False
        row, argument, value, code = self._any(found)
        reading = next(r for r in read_numbers(text) if r.value == value)
        words = text[reading.start : reading.end]
        spread, law, form = self._around(argument, value, code, row)
        noun = "median" if argument == "median" else "average"
        says = sketch.rule(self._any(form).format(told=words, spread=spread, noun=noun))
        name = f"true_{row['name']}"
        row["expr"] = row["expr"].replace(f"{argument}={code}", f"{argument}={name}", 1)
        unit = "" if argument == "p" else row["unit"]
        return _insert(sketch, sketch.rows.index(row), _row(name, law, says, unit))

    def _around(
        self, argument: str, value: float, code: str, row: _Row
    ) -> tuple[Told, str, tuple[str, ...]]:
        """Spread, formula and sentences of a draw around a told number."""
        if argument == "p":
            spread = pick_number(self.rng, 8, 30, 2)
            return spread, f"share(mean={code}, strength={spread.code})", _HYPER_SHARE
        sd = re.search(r"\bsd=([\d.]+)", row["expr"])
        if sd and row["expr"].startswith("normal"):
            spread = pick_number(self.rng, 0.3 * float(sd[1]), 0.8 * float(sd[1]))
            return spread, f"normal(mean={code}, sd={spread.code})", _HYPER_NORMAL
        spread = pick_number(self.rng, 1.1, 1.4, 0.1)
        return spread, f"lognormal(median={code}, spread=log({spread.code}))", _HYPER_FACTOR

    # ------------------------------------------------------------------ what is seen

    def pick_missing(self) -> dict[str, str]:
        """One observation that the motif makes and does not look at otherwise."""
        lets = {row["name"] for row in self.scout.draft.model if row["kind"] == "let"}
        looked = self.scout.looked
        free = [flat for flat in self.scout.sightings if flat not in looked]
        if len(self.scout.sightings) < 2 or not free or {n.split("[")[0] for n in looked} & lets:
            return {}
        self._mark = self._any(_MARKS)
        return {self._any(free): self._mark[0]}

    # ------------------------------------------------------------------ when the motif is done

    def finish(self, sketch: Sketch[Any]) -> Draft:
        """The draft with `missing` explained, `sensor` and `irrelevant` added."""
        draft = sketch.finish()
        if self._mark[0] and any(self._mark[0] in event for event in draft.events):
            self.applied.add("missing")
            draft = _extended(draft, events=[sentence(self._mark[1])])
        if "sensor" in self.wanted:
            draft = self._sensor(sketch, draft)
        if "irrelevant" in self.wanted:
            draft = self._irrelevant(draft)
        return draft

    def _sensor(self, sketch: Sketch[Any], draft: Draft) -> Draft:
        """One more reading of a quantity that is asked about and that the evidence depends on."""
        rows = {row["name"]: row for row in draft.model}
        above = _ancestors(draft)
        found = [
            quantity
            for quantity in sketch.quantities
            if quantity.node in above
            and flat_name(quantity.node, quantity.index) not in draft.prior
            and _real(rows[quantity.node])
            and not _share(sketch.samples(quantity.node, *quantity.index))
        ]
        if not found:
            return draft
        quantity: Quantity = self._any(found)
        values = sketch.samples(quantity.node, *quantity.index)
        source = self._any(_SOURCES)
        unit = f" {quantity.unit}" if quantity.unit else ""
        target = reference(quantity.node, *quantity.index)
        luck = self.rng.standard_normal(len(values))
        if rows[quantity.node]["expr"].startswith(("lognormal", "gamma")):
            noise = pick_number(self.rng, 1.2, 1.6, 0.1)
            samples = values * np.exp(np.log(noise.value) * luck)
            law = f"lognormal(median={target}, spread=log({noise.code}))"
            rule = (
                f"any {source} misses the truth by a log-normal factor with median 1, and a factor"
                f" of {noise} is one standard deviation"
            )
        else:
            noise = pick_number(self.rng, 0.4 * values.std(), values.std())
            samples = values + noise.value * luck
            law = f"normal(mean={target}, sd={noise.code})"
            rule = (
                f"any {source} is right on average and misses by {noise}{unit} (one standard"
                " deviation of a bell curve)"
            )
        size = abs(float(np.median(samples)))
        digits = 0 if size >= 20 else 1 if size >= 2 else 2
        while samples[0] > 0 and round(float(samples[0]), digits) <= 0:
            digits += 1
        value = round(float(samples[0]), digits) + 0.0
        rule = fix_articles(rule)
        span = fix_articles(f"a {source} put {quantity.what} at {number(value)}{unit}")
        self.applied.add("sensor")
        return _extended(
            draft,
            rows=[_row("outside", law, rule, quantity.unit)],
            given=[{"that": f"outside == {number(value)}", "says": span}],
            rules=[sentence(rule)],
            events=[sentence(span)],
            truth={"outside": value},
            prior={"outside": samples},
        )

    def _irrelevant(self, draft: Draft) -> Draft:
        """A yes/no fact by itself; where it is observed, the observation is declared an aside."""
        does, did, did_not = self._any(_DETAILS)
        chance = pick_chance(self.rng, 0.1, 0.9)
        rule = fix_articles(f"independently of all else, {does} {chance.times()}")
        happened = float(self.rng.random() < chance.value)
        seen = bool(self.rng.random() < 0.6)
        span = did if happened else did_not
        self.applied.add("irrelevant")
        told = [{"that": f"detail == {happened:g}", "says": span}] if seen else []
        return _extended(
            draft,
            rows=[_row("detail", f"yes(p={chance.code})", rule)],
            given=told,
            rules=[sentence(rule)],
            events=[sentence(span)] if seen else [],
            truth={"detail": happened},
            prior={"detail": (np.linspace(0, 1, 1000) < chance.value).astype(float)}
            if seen
            else {},
            declared=(span,) if seen else (),
        )


def _row(name: str, expr: str, says: str, unit: str = "") -> _Row:
    return {"name": name, "per": [], "kind": "draw", "expr": expr, "unit": unit, "says": says}


def _insert(sketch: Sketch[Any], place: int, row: _Row) -> bool:
    sketch.draw(row["name"], row["expr"], unit=row["unit"], says=row["says"])
    sketch.rows.insert(place, sketch.rows.pop())
    return True


def _formula(row: _Row) -> Expr:
    return parse_expression(row["expr"], kind=row["kind"])


def _centre(row: _Row) -> tuple[str, float, str] | None:
    """The argument that a prior is centred at, where it is a plain told number."""
    formula = _formula(row)
    if not isinstance(formula, Draw):
        return None
    wanted = {"normal": "mean", "lognormal": "median", "gamma": "mean", "yes": "p"}
    argument = wanted.get(formula.family, "")
    value = next((e for name, e in formula.args if name == argument), None)
    if argument == "p":
        found = re.fullmatch(r"yes\(p=((?:0\.\d+)|(?:\d+/\d+))\)", row["expr"])
        if not found or not row["per"]:
            return None
        return argument, next(iter(constants(formula))), found[1]
    if not isinstance(value, Number):
        return None
    return argument, value.value, number(value.value)


def _real(row: _Row) -> bool:
    return row["kind"] == "draw" and row["expr"].startswith(
        ("normal", "lognormal", "gamma", "uniform")
    )


def _share(samples: np.ndarray) -> bool:
    return bool(samples.min() >= 0 and samples.max() <= 1)


def _ancestors(draft: Draft) -> set[str]:
    """Names of the nodes that some observation depends on."""
    words = {row["name"]: set(re.findall(r"[A-Za-z_]\w*", row["expr"])) for row in draft.model}
    found: set[str] = set()
    waiting = [n for g in draft.given for n in re.findall(r"[A-Za-z_]\w*", g["that"]) if n in words]
    while waiting:
        for name in words[waiting.pop()] & set(words):
            if name not in found:
                found.add(name)
                waiting.append(name)
    return found


def _extended(
    draft: Draft,
    *,
    rows: Sequence[_Row] = (),
    given: Sequence[_Row] = (),
    rules: Sequence[str] = (),
    events: Sequence[str] = (),
    truth: dict[str, float] | None = None,
    prior: dict[str, np.ndarray] | None = None,
    declared: Sequence[str] = (),
) -> Draft:
    """The draft with more at the end of each part."""
    return dataclasses.replace(
        draft,
        model=(*draft.model, *rows),
        given=(*draft.given, *given),
        rules=(*draft.rules, *rules),
        events=(*draft.events, *events),
        truth={**draft.truth, **(truth or {})},
        prior={**draft.prior, **(prior or {})},
        declared=(*draft.declared, *declared),
    )
