"""Free-form random scenario documents: every family, function, kind of evidence and of question.

A document is written by types, so that it is valid by construction: quantities are reals of
moderate size, positives, shares of one, yes/no, or members of a set, alone or one for each element
of some sets, and each formula asks for what its place needs. Truth and observations are one draw
from the program's own prior; ranges come from its prior predictive. The structures of two seeds are
almost never equal.

    python -m scripts.random_programs --count=3 --seed=0
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ppt_jax.inference.simulate import sample_prior
from ppt_jax.scenario.document import parse_scenario
from ppt_jax.scenario.expression import FAMILIES

SETS = {
    "item": ["Ada", "Bo", "Cy", "Di", "Ed", "Flo"],
    "day": ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"],
    "team": ["red", "blue", "green", "gold"],
}
DRAWN = ("normal", "yes", *FAMILIES)  # normals and bits twice as often
PREDICTIVE_DRAWS = 512
NO_ASK = {"id": "q1", "kind": "choice", "expr": "1 > 0", "text": "?"}
TINY = 1e-9  # observations of positive draws are told no nearer to their end


@dataclasses.dataclass(frozen=True)
class Size:
    """How large documents get.

    Attributes:
      members: most members of a set.
      latents: fewest and most unobserved draw nodes beside the first two.
      lets: most deterministic nodes.
      seen: fewest and most observed draw nodes (each may stand for several draws).
      asks: fewest and most questions.
    """

    members: int = 5
    latents: tuple[int, int] = (1, 4)
    lets: int = 3
    seen: tuple[int, int] = (1, 3)
    asks: tuple[int, int] = (1, 4)


@dataclasses.dataclass(frozen=True)
class _Quantity:
    name: str
    per: tuple[str, ...]
    kind: str  # real, positive, share, flag, pick
    over: str  # the set that a pick is from
    needs: frozenset[str]  # names of all nodes that it depends on, itself included


class _Writer:
    def __init__(
        self, rng: np.random.Generator, constants: np.random.Generator, size: Size
    ) -> None:
        self.rng, self.constants, self.size = rng, constants, size
        names = list(SETS)[: int(rng.integers(1, len(SETS) + 1))]
        self.sets = {s: SETS[s][: int(rng.integers(2, size.members + 1))] for s in names}
        self.model: list[dict[str, Any]] = []
        self.known: list[_Quantity] = []
        self.used: set[str] = set()
        self.numbers = 0

    # -- choices -------------------------------------------------------------------------------

    def flip(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def choose(self, options: Sequence[Any]) -> Any:
        return options[int(self.rng.integers(len(options)))]

    def call(self, options: Sequence[Callable[[], str]]) -> str:
        made: str = self.choose(options)()
        return made

    def number(self, low: float, high: float) -> str:
        return f"{self.constants.uniform(low, high):.3g}"

    # -- references ----------------------------------------------------------------------------

    def of_kind(self, *kinds: str) -> list[_Quantity]:
        return [one for one in self.known if one.kind in kinds]

    def index(self, over: str, at: tuple[str, ...]) -> str:
        """An index into a set: the element at hand, a pick, or a member by name."""
        if over in at and self.flip(0.85):
            return over
        picks = [one for one in self.of_kind("pick") if one.over == over and not one.per]
        if picks and self.flip(0.4):
            pick = self.choose(picks)
            self.used |= pick.needs
            return str(pick.name)
        return f"'{self.choose(self.sets[over])}'"

    def refer(self, one: _Quantity, at: tuple[str, ...]) -> str:
        """A quantity where the elements of the sets ``at`` are at hand."""
        self.used |= one.needs
        if not one.per:
            return one.name
        if one.kind in ("real", "positive") and self.flip(0.25):
            for over in one.per:
                if over not in at:
                    inside = [s if s == over else self.index(s, at) for s in one.per]
                    word = self.choose(["total", "average", "average"])
                    return f"{word}({one.name}[{', '.join(inside)}], {over})"
        return f"{one.name}[{', '.join(self.index(s, at) for s in one.per)}]"

    def some(self, at: tuple[str, ...], *kinds: str) -> str | None:
        found = self.of_kind(*kinds)
        if not found:
            return None
        near = [one for one in found if one.per and set(one.per) <= set(at)]
        return self.refer(self.choose(near if near and self.flip(0.6) else found), at)

    # -- typed expressions ---------------------------------------------------------------------

    def atom(self, at: tuple[str, ...]) -> str:
        found = None if self.flip(0.1) else self.some(at, "real", "positive", "share")
        return found or self.number(0.3, 2.5)

    def real(self, at: tuple[str, ...]) -> str:
        x = self.atom(at)
        if self.flip(0.35):
            return x
        y = self.atom(at)
        return self.call(
            [
                lambda: f"{x} + {y}",
                lambda: f"{x} - 0.5 * {y}",
                lambda: f"{self.number(0.3, 1.5)} * {x}",
                lambda: f"min({x}, {y}, 2)",
                lambda: f"max({x}, {y})",
                lambda: f"clip({x}, -2, 2) ** 2",
                lambda: f"abs({x})",
                lambda: f"exp(clip({x}, -2, 1))",
                lambda: f"log(1 + abs({x}))",
                lambda: f"sqrt(abs({x}) + 0.1)",
                lambda: f"{x} / (1 + abs({y}))",
                lambda: f"-round({x})",
                lambda: f"2 * sigmoid({x})",
                lambda: f"({x} if {self.flag(at)} else {y})",
                lambda: f"({x} * {self.number(0.3, 0.8)} if {self.flag(at)} else {x})",
            ]
        )

    def positive(self, at: tuple[str, ...]) -> str:
        if self.flip(0.4):
            return self.number(0.5, 3.0)
        found = self.some(at, "positive")
        if found is not None and self.flip(0.5):
            return f"0.2 + {found}"
        return self.call(
            [
                lambda: f"0.4 + exp(clip({self.atom(at)}, -1, 1))",
                lambda: f"0.3 + abs({self.atom(at)})",
                lambda: f"({self.number(0.4, 1)} if {self.flag(at)} else {self.number(1, 3)})",
            ]
        )

    def share(self, at: tuple[str, ...]) -> str:
        """A probability."""
        found = self.some(at, "share")
        if found is not None and self.flip(0.5):
            return found
        return self.call(
            [
                lambda: self.number(0.1, 0.9),
                lambda: f"sigmoid({self.real(at)})",
                lambda: (
                    f"({self.number(0.6, 0.95)} if {self.flag(at)} else {self.number(0.05, 0.4)})"
                ),
            ]
        )

    def flag(self, at: tuple[str, ...]) -> str:
        found = self.some(at, "flag")
        if found is not None and self.flip(0.6):
            return self.choose([found, f"not {found}"]) if self.flip(0.3) else found
        picks = self.of_kind("pick")
        if picks and self.flip(0.3):
            pick = self.choose(picks)
            left = self.refer(pick, at)
            if pick.over in at:
                return f"{left} {self.choose(['==', '<', '>=', '!='])} {pick.over}"
            return f"{left} == '{self.choose(self.sets[pick.over])}'"
        x, y = self.atom(at), self.atom(at)
        if found is not None and self.flip(0.2):
            return f"({found} {self.choose(['and', 'or'])} {x} > {y})"
        if x == y:
            return f"{x} > {self.number(0.2, 1.5)}"
        return f"{x} {self.choose(['>', '<=', '<', '>='])} {y}"

    # -- draws ---------------------------------------------------------------------------------

    def draw(self, at: tuple[str, ...], *, large: bool = False) -> tuple[str, str, str]:
        """A draw formula, its kind, and the set it picks from."""
        family = self.choose(DRAWN)
        scale = self.choose(["", "", "40 * "]) if large else ""
        match family:
            case "normal":
                return f"normal(mean={self.real(at)}, sd={self.positive(at)})", "real", ""
            case "lognormal":
                spread = self.choose([self.number(0.2, 0.8), f"0.3 + 0.5 * {self.share(at)}"])
                return f"lognormal(median={self.positive(at)}, spread={spread})", "positive", ""
            case "gamma":
                shape = self.choose([self.number(0.8, 5), self.positive(at)])
                return f"gamma(mean={self.positive(at)}, shape={shape})", "positive", ""
            case "beta":
                a, b = (self.choose([self.number(0.7, 5), self.positive(at)]) for _ in range(2))
                return f"beta(a={a}, b={b})", "share", ""
            case "share":
                mean = f"clip({self.share(at)}, 0.05, 0.95)"
                return f"share(mean={mean}, strength={self.positive(at)} + 2)", "share", ""
            case "uniform":
                return f"uniform(low=0, high={self.positive(at)})", "positive", ""
            case "wait":
                return f"wait(mean={self.positive(at)})", "positive", ""
            case "robust":
                df = self.choose([self.number(2, 8), f"1.5 + {self.positive(at)}"])
                mean, sd = self.real(at), self.positive(at)
                return f"robust(mean={mean}, sd={sd}, df={df})", "real", ""
            case "count":
                return f"count(rate={scale}({self.positive(at)}))", "real", ""
            case "successes":
                n = int(self.constants.integers(*((60, 300) if scale else (2, 12))))
                return f"successes(n={n}, p={self.share(at)})", "real", ""
            case "yes":
                return f"yes(p={self.share(at)})", "flag", ""
        over = self.choose(list(self.sets))
        if self.flip(0.5):
            return f"pick({over})", "pick", over
        weights = [
            self.positive(at) if self.flip(0.3) else self.number(0.5, 3) for _ in self.sets[over]
        ]
        return f"pick({over}, weights=[{', '.join(weights)}])", "pick", over

    def add(self, stem: str, kind: str, per: tuple[str, ...], expr: str, over: str = "") -> str:
        name = f"{stem}{self.numbers}"
        self.numbers += 1
        node = "draw" if stem in ("x", "y", "walk") else "let"
        self.model.append({"name": name, "per": list(per), "kind": node, "expr": expr})
        needs = frozenset(self.used | {name})
        self.known.append(_Quantity(name, per, kind, over, needs))
        self.used = set()
        return name

    def per(self, p: float) -> tuple[str, ...]:
        """No set, one, or two."""
        if not self.flip(p):
            return ()
        chosen = list(self.rng.permutation(list(self.sets)))
        return tuple(str(s) for s in chosen[: 2 if self.flip(0.15) else 1])

    def latent(self) -> None:
        per = self.per(0.4)
        expr, kind, over = self.draw(per)
        self.add("x", kind, per, expr, over)

    def walk(self) -> None:
        """A chain along a set: a random walk, or a state that persists."""
        per, name = self.per(1.0), f"walk{self.numbers}"
        start = self.atom(per)
        if self.flip(0.6):
            sd = self.positive(per)
            expr, kind = f"normal(mean=prev({name}, first={start}), sd={sd})", "real"
        else:
            stay, change = self.number(0.7, 0.95), self.number(0.05, 0.3)
            first = self.flag(per)
            expr, kind = f"yes(p={stay} if prev({name}, first={first}) else {change})", "flag"
        self.add("walk", kind, per, expr)

    def let(self) -> None:
        per = self.per(0.35)
        if self.flip(0.25):
            self.add("let", "flag", per, self.flag(per))
        else:
            self.add("let", "real", per, self.real(per))

    def program(self) -> list[_Quantity]:
        """Writes the model; returns the nodes that will be observed."""
        over = self.choose(list(self.sets))
        self.add("x", "real", (over,), f"normal(mean=1, sd={self.number(0.5, 1.2)})")
        self.latent()
        steps = [self.latent] * int(self.rng.integers(*self.size.latents, endpoint=True))
        steps += [self.let] * int(self.rng.integers(0, self.size.lets + 1))
        steps += [self.walk] * int(self.flip(0.35))
        for step in self.rng.permutation(np.array(steps, object)):
            step()
        seen = []
        hidden = list(self.known)
        for _ in range(int(self.rng.integers(*self.size.seen, endpoint=True))):
            per = self.per(0.6)
            if self.flip(0.3):  # a private bit behind each observation
                self.add("x", "flag", per, f"yes(p={self.number(0.1, 0.4)})")
                hidden_bit = self.known.pop()
                self.known = [*hidden, hidden_bit]
            expr, kind, chosen = self.draw(per, large=True)
            if not self.used:
                expr, kind, chosen = f"normal(mean={self.atom(per)}, sd=0.8)", "real", ""
            self.add("y", kind, per, expr, chosen)
            seen.append(self.known.pop())
            self.known = list(hidden)
        return seen


def _told(value: float, family: str) -> float:
    """An observation as it is told: ten digits, inside an open support."""
    if family in ("gamma", "lognormal", "wait"):
        value = max(value, TINY)
    if family in ("beta", "share"):
        value = min(max(value, TINY), 1.0 - TINY)
    return float(f"{value:.10g}")


def _signed(value: float) -> str:
    text = np.format_float_positional(abs(value), trim="-")
    return f"-{text}" if value < 0 else text


def _labels(flat: str) -> str:
    """``power[Juno,Sunday]`` as a formula: ``power['Juno', 'Sunday']``."""
    name, _, rest = flat.partition("[")
    if not rest:
        return name
    return f"{name}[{', '.join(repr(label) for label in rest[:-1].split(','))}]"


def random_document(seed: int, variant: int = 0, size: Size | None = None) -> dict[str, Any]:
    """A random document with truth, observations, and ranges from its own prior.

    Args:
      seed: of its structure; the same seed and variant give the same document.
      variant: of its constants, truth and observations. Two variants of a seed share the structure
        unless a comparison came out the other way.
      size: how large it may get.

    Returns:
      A `scenario/1` document that `parse_scenario` accepts, with simulated evidence.

    Example:
      >>> random_document(0)["id"]
      'random-0-0'
    """
    size = size or Size()
    rng, drawn = np.random.default_rng([7, seed]), np.random.default_rng([8, seed, variant])
    writer = _Writer(rng, drawn, size)
    seen = writer.program()
    touched = frozenset().union(*(one.needs for one in seen))
    relevant = [one for one in writer.known if one.name in touched] or writer.known[:1]
    base: dict[str, Any] = {
        "schema": "scenario/1",
        "id": f"random-{seed}-{variant}",
        "motif": "random",
        "story": "A random program.",
        "sets": [{"name": name, "members": members} for name, members in writer.sets.items()],
        "model": writer.model,
        "given": [],
        "ask": [],
    }
    asks = [_ask(writer, relevant) for _ in range(int(rng.integers(*size.asks, endpoint=True)))]
    compared = _comparisons(writer, relevant) if rng.random() < 0.5 else []
    return _filled(base, writer, seen, asks, compared)


def _ask(writer: _Writer, relevant: list[_Quantity]) -> dict[str, Any]:
    """One question about something that the evidence bears on."""
    one = writer.choose(relevant)
    name = writer.refer(one, ())
    if one.kind == "pick":
        return {"kind": "choice", "expr": name} if not one.per else _chosen(writer, one, name)
    if one.kind == "flag":
        return {"kind": "choice", "expr": name}
    kind = writer.choose(["value", "rank", "choice", "chance"])
    if kind == "choice":
        other = writer.atom(())
        return {"kind": kind, "expr": f"{name} > {other if other != name else 0.7}"}
    if kind == "chance":
        return {"kind": kind, "expr": name if one.kind == "share" else f"sigmoid({name})"}
    form = writer.choose([name, name, f"{name} + {writer.atom(())}", f"exp(clip({name}, -2, 2))"])
    return {"kind": kind, "expr": form}


def _chosen(writer: _Writer, one: _Quantity, name: str) -> dict[str, Any]:
    return {"kind": "choice", "expr": f"{name} == '{writer.choose(writer.sets[one.over])}'"}


def _comparisons(writer: _Writer, relevant: list[_Quantity]) -> list[tuple[str, str, str]]:
    """Pairs to compare: ``(how, left, right)`` with how `beats`, `fact` or `flag`."""
    found = []
    for _ in range(int(writer.rng.integers(1, 4))):
        one = writer.choose(relevant)
        left = writer.refer(one, ())
        if one.kind == "flag":
            found.append(("flag", left, ""))
        elif one.kind != "pick":
            right = writer.atom(())
            if right != left and not right[0].isdigit():
                found.append((writer.choose(["beats", "beats", "fact"]), left, right))
    return found


def _filled(
    base: dict[str, Any],
    writer: _Writer,
    seen: list[_Quantity],
    asks: list[dict[str, Any]],
    compared: list[tuple[str, str, str]],
) -> dict[str, Any]:
    """Draws truth and predictive values, and writes givens and ranges from them."""
    rng = writer.constants
    probes = [ask["expr"] for ask in asks if ask["kind"] == "value"]
    sides = [side for how, left, right in compared for side in (left, right) if side]
    lets = [
        {"name": f"probe{i}", "per": [], "kind": "let", "expr": expr}
        for i, expr in enumerate([*probes, *sides])
    ]
    probing = parse_scenario({**base, "model": [*base["model"], *lets], "ask": [NO_ASK]})
    drawn = sample_prior(probing, rng, PREDICTIVE_DRAWS)
    draws = {node["name"]: node["expr"] for node in base["model"] if node["kind"] == "draw"}
    truth = {n: float(x[-1]) for n, x in drawn.items() if n.split("[")[0] in draws}
    given = []
    for flat in truth:
        name = flat.split("[")[0]
        if any(name == one.name for one in seen) and writer.flip(0.9):
            family = draws[name].split("(")[0]
            truth[flat] = value = _told(truth[flat], family)
            text = _signed(value)
            if family == "pick":
                over = next(one.over for one in seen if one.name == name)
                text = repr(writer.sets[over][int(value)])
            given.append(f"{_labels(flat)} == {text}")
    place = len(probes)
    for how, left, right in compared:
        a = float(drawn[f"probe{place}"][-1])
        if how == "flag":
            place += 1
            given.append(left if a else f"not {left}")
            continue
        b = float(drawn[f"probe{place + 1}"][-1])
        place += 2
        if how == "fact":
            given.append(f"{left} > {right}" if a > b else f"{right} >= {left}")
        else:
            noise = float(f"{rng.uniform(0.3, 1.0):.2g}")
            won = rng.random() < 1.0 / (1.0 + math.exp(min(max((b - a) / noise, -50), 50)))
            pair = f"{left}, {right}" if won else f"{right}, {left}"
            given.append(f"beats({pair}, noise={noise})")
    ranged = iter(range(len(probes)))
    for number, ask in enumerate(asks, start=1):
        ask |= {"id": f"q{number}", "text": f"What of {ask['expr']}?"}
        if ask["kind"] == "value":
            low, high = np.quantile(drawn[f"probe{next(ranged)}"], [0.002, 0.998])
            margin = 0.3 * (high - low) + 0.5
            ask |= {"low": float(f"{low - margin:.3g}"), "high": float(f"{high + margin:.3g}")}
        if draws.get(ask["expr"], "").startswith("pick"):
            over = next(one.over for one in writer.known if one.name == ask["expr"])
            ask["options"] = list(writer.sets[over])
    given = list(dict.fromkeys(given)) or ["1 > 0"]
    return {
        **base,
        "given": [{"that": that} for that in given],
        "ask": asks,
        "truth": truth,
        "evidence": "simulated",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1, help="documents to print, one a line")
    parser.add_argument("--seed", type=int, default=0, help="of the first")
    chosen = parser.parse_args()
    for seed in range(chosen.seed, chosen.seed + chosen.count):
        print(json.dumps(random_document(seed)))


if __name__ == "__main__":
    main()
