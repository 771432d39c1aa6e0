"""Sites of a model function as nodes, observations and questions of a document."""

from __future__ import annotations

import ast
import collections
import contextlib
import itertools
import keyword
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ppt_jax.scenario import limits
from ppt_jax.scenario.printing import print_expression, print_label, print_number
from ppt_jax.scenario.programs.families import distribution
from ppt_jax.scenario.programs.formulas import Formulas
from ppt_jax.scenario.programs.module import Module, NotConstant
from ppt_jax.scenario.programs.values import (
    Group,
    Member,
    Node,
    Value,
    are_labels,
    at_element,
)
from ppt_jax.scenario.syntax import (
    FAMILIES,
    FUNCTIONS,
    SPECIAL,
    Beats,
    Binary,
    Draw,
    Expr,
    Index,
    Label,
    Listing,
    Name,
    Number,
    Prev,
    Reduce,
    Unary,
    children,
    walk,
)

_WORDS = frozenset({*keyword.kwlist, *FAMILIES, *FUNCTIONS, *SPECIAL})
Row = tuple[dict[str, Any], int]


class Sites(Formulas):
    """Adds nodes and evidence; lives for one model function."""

    def __init__(self, module: Module, set_notes: Mapping[str, Any]) -> None:
        super().__init__(module)
        self.set_notes = set_notes
        self.links: dict[str, str] = {}
        self.model: list[Row] = []
        self.given: list[Row] = []
        self.asks: dict[str, tuple[Expr, int]] = {}
        self.taken = set(_WORDS)
        self.named: dict[str, Group] = {}  # Python's name of a set -> the set
        self.loops: list[Group] = []
        self.observed: set[str] = set()
        self.reserved: set[str] = set()  # names of sites

    def pending(self, site: str, per: tuple[str, ...], kind: str = "real", of: str = "") -> Node:
        """A node that is about to be made."""
        return Node(self.fresh(site, keep=False), per, kind, of)

    def let(
        self, wanted: str, found: Expr, node: ast.AST, per: tuple[str, ...] | None = None
    ) -> Expr:
        """A formula as a node; a plain name, element, number or list stays as it is."""
        self.short(found, node)
        if per is None and isinstance(found, Name | Index | Number | Listing | Label):
            return found
        owners = self.free(found) if per is None else per
        name = self.fresh(wanted)
        self.nodes[name] = Node(name, owners, self.kind(found))
        self.add({"name": name, "per": list(owners), "kind": "let"}, found, node)
        return Index(name, tuple(Name(part) for part in owners)) if owners else Name(name)

    def add(self, row: dict[str, Any], formula: Expr, node: ast.AST) -> None:
        """Adds a row to the model."""
        if len(self.model) >= limits.MAX_MODEL:
            self.refuse(f"more than {limits.MAX_MODEL} quantities", node)
        row["expr"] = self.text(formula, node)
        self.model.append((row, getattr(node, "lineno", 0)))

    def text(self, formula: Expr, node: ast.AST) -> str:
        """The formula as the document writes it."""
        self.short(formula, node)
        text = print_expression(formula)
        if len(text) > limits.MAX_FORMULA_CHARACTERS:
            self.refuse("too long a formula; give its parts names of their own", node)
        return text

    def short(self, formula: Expr, node: ast.AST) -> None:
        """Refuses a formula of more parts than the language allows, before anything visits all."""
        parts = sum(1 for _ in itertools.islice(walk(formula), limits.MAX_FORMULA_NODES + 1))
        if parts > limits.MAX_FORMULA_NODES:
            self.refuse("too long a formula; give its parts names of their own", node)

    def free(self, formula: Expr) -> tuple[str, ...]:
        """The sets whose members a formula leaves open."""
        found: dict[str, None] = {}

        def visit(part: Expr, bound: tuple[str, ...]) -> None:
            if isinstance(part, Reduce):
                visit(part.body, (*bound, part.set))
                return
            if isinstance(part, Name) and part.name in self.groups and part.name not in bound:
                found[part.name] = None
            if isinstance(part, Prev) and part.name in self.nodes:
                found.update(dict.fromkeys(self.nodes_of(part.name).per))
            for inner in children(part):
                visit(inner, bound)

        visit(formula, ())
        order = [group.name for group in self.active]
        return tuple(sorted(found, key=lambda s: order.index(s) if s in order else len(order)))

    def fresh(self, wanted: str, keep: bool = True) -> str:
        """A name of the language that is still free."""
        plain = re.sub(r"[^a-zA-Z0-9]+", "_", wanted).strip("_")
        plain = plain if plain[:1].isalpha() else f"v_{plain}".strip("_")
        plain = plain[: limits.MAX_NAME_CHARACTERS - 4].strip("_")
        made, count = plain, 2
        while made in self.taken:
            made, count = f"{plain}_{count}", count + 1
        if keep:
            self.taken.add(made)
        return made

    # -- sites ---------------------------------------------------------------------------------

    def site(self, node: ast.Call) -> tuple[str, tuple[str, ...]]:
        """The name of a site and the sets of the loop variables in it."""
        if not node.args:
            self.refuse("a site has a name", node)
        name, found = node.args[0], list[str]()
        text: Any = None
        if isinstance(name, ast.JoinedStr):
            text = ""
            for part in name.values:
                if isinstance(part, ast.Constant):
                    text += str(part.value)
                    continue
                assert isinstance(part, ast.FormattedValue)
                held = self.names.get(part.value.id) if isinstance(part.value, ast.Name) else None
                if not isinstance(held, Member):
                    self.refuse("only loop variables stand in the name of a site", node)
                found.append(held.group.name)
        else:
            with contextlib.suppress(NotConstant):
                text = self.constant(name)
            if not isinstance(text, str):
                self.refuse("the name of a site is a string", name)
        missing = [group.name for group in self.loops if group.name not in found]
        if missing:
            variable = missing[0]
            self.refuse(
                f'inside a loop the name of a site tells its element: f"x[{{{variable}}}]"', node
            )
        return re.split(r"[\[(]", text)[0].strip(" _-,") or text, tuple(found)

    def owners(self, named: tuple[str, ...], per: tuple[str, ...] | None) -> tuple[str, ...]:
        """The sets that a site has an element for."""
        loops = named if per is None else per
        return (*loops, *(g.name for g in self.plates if g.name not in loops))

    def sample(
        self, node: ast.Call, target: str, per: tuple[str, ...] | None, container: str
    ) -> Expr:
        """Adds a draw, and what was observed of it."""
        site, named = self.site(node)
        if len(node.args) < 2:
            self.refuse("a sample has a name and a distribution", node)
        owners = self.owners(named, per)
        obs = next((k.value for k in node.keywords if k.arg == "obs"), None)
        obs = node.args[2] if len(node.args) > 2 else obs
        for word in node.keywords:
            if word.arg not in ("obs", "infer", "rng_key", "fn", "name"):
                self.refuse(f"{str(word.arg)[:40]!r} of a sample is not read", word.value)
        self.drawing = None
        if container:
            last = ast.unparse(node.args[1])
            of = self.states(site, target, 0, node).name if "Categorical" in last[:40] else ""
            kind = "member" if of else "boolean" if "Bernoulli" in last[:40] else "real"
            self.drawing = (container, self.pending(site, owners, kind, of))
        draw = distribution(self, node.args[1])
        self.short(draw, node)
        self.drawing = None
        kind, of = "boolean" if draw.family == "yes" else "real", ""
        if draw.family == "pick":
            listing = draw.args[0][1]
            assert isinstance(listing, Listing)
            group = self.states(site, target, len(listing.items), node)
            kind, of = "member", group.name
            draw = Draw("pick", draw.args if draw.args[0][0] == "weights" else (), group.name)
        open_sets = [s for _, part in draw.args for s in self.free(part) if s not in owners]
        if open_sets:
            self.refuse(
                f"it has an element for each {open_sets[0]!r}: draw it inside that plate", node
            )
        name = self.fresh(site)
        self.nodes[name] = Node(name, owners, kind, of)
        self.add({"name": name, "per": list(owners), "kind": "draw"}, draw, node)
        if obs is not None:
            self.observe(self.nodes[name], obs)
        return Index(name, tuple(Name(part) for part in owners)) if owners else Name(name)

    def states(self, site: str, target: str, size: int, node: ast.AST) -> Group:
        """The set that a Categorical draws from; `size` 0 where it is not known yet."""
        noted = self.set_notes.get(site)
        if noted is not None and not isinstance(noted, str):
            if not are_labels(noted) or (size and len(noted) != size):
                self.refuse(f"words: sets: {site!r} needs {size or 'some'} different labels", node)
            return self.made(noted, f"{site}_states")
        for wanted in (noted, self.links.get(target), site, f"{site}S"):
            for name in (wanted or "", (wanted or "").upper()):
                members = self.constants().get(name)
                if are_labels(members) and (not size or len(members) == size):
                    return self.made(members, name)
        if not size:
            self.refuse(
                f"a Categorical in a loop draws from a named set: {site.upper()} = (...) above",
                node,
            )
        return self.numbered(size, f"{site}_states", node)

    def observe(self, node: Node, obs: ast.expr) -> None:
        """Adds one observation for each element that has one."""
        groups = [self.groups[part] for part in node.per]
        if math.prod(len(group.members) for group in groups) > limits.MAX_GIVEN:
            self.refuse(f"more than {limits.MAX_GIVEN} observations", obs)
        plates = {group.name for group in self.plates}
        known = dict(self.constants())
        for places in itertools.product(*(range(len(group.members)) for group in groups)):
            at = {group.name: place for group, place in zip(groups, places)}
            labels = [group.members[place] for group, place in zip(groups, places)]
            bound = {
                name: at[v.group.name] if v.counts else v.group.members[at[v.group.name]]
                for name, v in self.names.items()
                if isinstance(v, Member) and v.group.name in at
            }
            try:
                value = self.module.constant(obs, collections.ChainMap(bound, known))
            except NotConstant:
                self.refuse(f"obs={ast.unparse(obs)[:60]} is no constant", obs)
            if isinstance(value, list):
                if len([s for s in node.per if s in plates]) != 1:
                    self.refuse("an array is observed inside one plate of its length", obs)
                own = next(g for g in groups if g.name in plates)
                if len(value) != len(own.members):
                    self.refuse(f"{len(value)} observations for {len(own.members)} elements", obs)
                value = value[at[own.name]]
            if value is None:
                continue
            if not isinstance(value, int | float) or not abs(value) <= limits.MAX_NUMBER:
                self.refuse(f"{str(value)[:40]!r} is no observation", obs)
            shown = print_number(float(value))
            if node.kind == "member":
                whole = int(value) if value == int(value) else value
                shown = print_label(self.label(whole, self.groups[node.of], obs))
            index = f"[{', '.join(map(print_label, labels))}]" if labels else ""
            self.given.append(({"that": f"{node.name}{index} == {shown}"}, obs.lineno))
            self.observed.add(node.name)

    def deterministic(
        self, node: ast.Call, target: str, per: tuple[str, ...] | None, container: str
    ) -> Value:
        """Adds a let, or an ask."""
        site, named = self.site(node)
        if len(node.args) != 2:
            self.refuse("write numpyro.deterministic(name, formula)", node)
        owners = self.owners(named, per) if container or named else None
        self.drawing = (container, self.pending(site, owners or ())) if container else None
        found = self.expr(node.args[1])
        self.short(found, node)
        self.drawing = None
        asked = re.match(r"ask[ :_]+(.+)", site)
        if asked:
            open_sets = self.free(found)
            if open_sets:
                self.refuse(f"an ask is one quantity, this is one for each {open_sets[0]!r}", node)
            self.asks[asked[1]] = (found, node.lineno)
            return found
        if owners is None and isinstance(found, Name | Index):
            return found
        return self.let(site, found, node, owners)

    def factor(self, node: ast.Call) -> None:
        """Adds evidence."""
        if len(node.args) != 2:
            self.refuse("write numpyro.factor(name, log weight)", node)
        formula = self.weight(node.args[1])
        self.short(formula, node)
        sets = self.free(formula)
        groups = [self.groups[s] for s in sets]
        for labels in itertools.product(*(group.members for group in groups)):
            if len(self.given) >= limits.MAX_GIVEN:
                self.refuse(f"more than {limits.MAX_GIVEN} observations", node)
            made = at_element(formula, dict(zip(sets, labels)))
            if made is None:
                self.refuse("a factor looks one step back; name that quantity first", node)
            self.given.append(({"that": self.text(made, node)}, node.lineno))

    def weight(self, node: ast.expr) -> Expr:
        """The evidence of a factor: a soft comparison or a hard fact."""
        if isinstance(node, ast.Call):
            name = self.module.dotted(node.func).rpartition(".")[2]
            if name == "where" and len(node.args) == 3:
                test, then, orelse = node.args
                try:
                    pair = (self.constant(then), self.constant(orelse))
                except NotConstant:
                    pair = (None, None)
                if pair[0] == 0 and pair[1] == -math.inf:
                    return self.expr(test)
                if pair[1] == 0 and pair[0] == -math.inf:
                    return Unary("not", self.expr(test))
            inner = node.args[0] if len(node.args) == 1 else None
            if name in ("log_sigmoid", "logsigmoid") and inner is not None:
                return self.beats(inner)
            if (
                name == "log"
                and isinstance(inner, ast.Call)
                and len(inner.args) == 1
                and self.module.dotted(inner.func).rpartition(".")[2] in ("sigmoid", "expit")
            ):
                return self.beats(inner.args[0])
        self.refuse(
            "a factor is jax.nn.log_sigmoid((a - b) / noise) or jnp.where(fact, 0.0, -jnp.inf); "
            "anything else is written as an observed draw",
            node,
        )

    def beats(self, node: ast.expr) -> Expr:
        """A soft comparison."""
        found, noise = self.expr(node), Number(1.0)
        match found:
            case Binary(op="/", left=Binary(op="-", left=a, right=b), right=scale):
                return Beats(a, b, scale)
            case Binary(op="-", left=a, right=b):
                return Beats(a, b, noise)
        return Beats(found, Number(0.0), noise)

    # -- sets

    def set_name(self, wanted: str) -> str:
        """A free name for a set; the names of sites are left to their nodes."""
        return self.fresh(f"{wanted}_set" if wanted in self.reserved else wanted)

    def room(self) -> None:
        """Refuses more sets than a document may have."""
        if len(self.groups) >= limits.MAX_SETS:
            self.refuse(f"more than {limits.MAX_SETS} sets", ast.Pass())

    def made(self, members: Sequence[Any], wanted: str) -> Group:
        """The set of a Python name; the same name gives the same set."""
        if wanted in self.named:
            return self.named[wanted]
        self.room()
        group = Group(self.set_name(wanted.lower()), tuple(members), False)
        self.named[wanted] = self.groups[group.name] = group
        return group

    def numbered(self, size: int, wanted: str, node: ast.AST) -> Group:
        """A set that Python counts from 0; an idle one of the same size is taken again."""
        if not 1 <= size <= limits.MAX_MEMBERS:
            self.refuse(f"a set has 1 to {limits.MAX_MEMBERS} members, here are {size}", node)
        known = [g for g in self.groups.values() if g.numbered and len(g.members) == size]
        idle = [g for g in known if g not in self.active]
        for group in sorted(idle, key=lambda g: g.name != wanted):
            return group
        self.room()
        group = Group(self.set_name(wanted), tuple(map(str, range(size))), True)
        self.groups[group.name] = group
        return group
