"""Sums private discrete latents out of a program.

A discrete latent ``s`` that no ask depends on is a nuisance: the posterior of the asks stays the
same when the likelihood terms ``t`` that depend on it are replaced by one,

    log sum_k P(s = k | parents) exp(sum_t t[s := k]),

for every fixed value of the other latents. The nodes between ``s`` and those terms are written once
a state, and what no longer depends on ``s`` is shared, so hidden states along a chain become the
backward recursion. Sums over fewer dimensions mean fewer wasted particles and no indicator noise.
A hard fact becomes the chance that it holds.

Source: Murray, Lunden, Kudlicka, Broman, Schoen (2018), Delayed sampling and automatic
Rao-Blackwellization of probabilistic programs.
"""

from __future__ import annotations

import math

from ppt_jax.inference.graph import Graph, Node, reachable
from ppt_jax.inference.program import Program, density, pruned
from ppt_jax.inference.table import proposed_draws

MAX_NODES = 700
MAX_STATES = 16
MAX_BEFORE = 4 * MAX_NODES  # larger programs stay as they are: the search itself takes time


def state_count(program: Program, node: Node) -> int | None:
    """Number of values of a latent that can be summed over, or None for any other node."""
    if node.op == "draw:yes":
        return 2
    if node.op == "draw:pick" and len(node.args) <= MAX_STATES:
        return len(node.args)
    if node.op == "draw:successes" and program.nodes[node.args[0]].op == "const":
        trials = program.nodes[node.args[0]].value
        if 0 <= trials < MAX_STATES and trials == math.floor(trials):
            return int(trials) + 1
    return None


class _Elimination:
    """The graph while sites are removed one by one; ``reach`` has a bit a site for every node."""

    def __init__(self, program: Program, sites: dict[int, int]) -> None:
        self.graph = Graph(program.nodes)
        self.states = sites
        self.bit = {site: 1 << i for i, site in enumerate(sites)}
        self.reach: list[int] = []
        self.terms = list(program.loglik)  # a given told twice counts twice
        self.other_roots = [*program.asks, *program.ask_priors]
        self.extend()

    def extend(self) -> None:
        """Fills `reach` for nodes that are new."""
        for number in range(len(self.reach), len(self.graph.nodes)):
            node, mask = self.graph.nodes[number], self.bit.get(number, 0)
            for arg in node.args:
                mask |= self.reach[arg]
            self.reach.append(mask)

    def size(self, terms: list[int]) -> int:
        return len(reachable(self.graph.nodes, [*terms, *self.other_roots]))

    def between(self, site: int) -> tuple[list[int], list[int]]:
        """The terms that depend on a site, and all nodes from the site to them, in order."""
        bit = self.bit[site]
        terms = [term for term in self.terms if self.reach[term] & bit]
        seen, stack = set(terms), list(terms)
        while stack:
            for arg in self.graph.nodes[stack.pop()].args:
                if self.reach[arg] & bit and arg not in seen:
                    seen.add(arg)
                    stack.append(arg)
        return terms, sorted(seen)

    def substituted(self, between: list[int], site: int, state: int) -> dict[int, int]:
        """Every node between a site and its terms, with the site fixed."""
        graph = self.graph
        made = {site: graph.const(float(state))}
        for number in between:
            if number == site:
                continue
            node = graph.nodes[number]
            args = [made.get(arg, arg) for arg in node.args]
            if node.op.startswith("draw:"):
                made[number] = graph.latent(node.op[5:], args, int(node.value))
            elif node.op == "log:yes" and graph.constant(args[0]) is not None:
                made[number] = density(graph, "yes", graph.nodes[args[0]].value, args[1:])
            else:
                made[number] = graph.add(node.op, *args)
        return made

    def summed(self, site: int, terms: list[int], between: list[int]) -> int:
        """The node of the log of the sum over a site's states."""
        graph, node = self.graph, self.graph.nodes[site]
        total = graph.const(-math.inf)
        for state in range(self.states[site]):
            branch = density(graph, node.op[5:], float(state), node.args)
            if graph.constant(branch) == -math.inf:
                continue  # cannot be, so nothing below it needs a value
            made = self.substituted(between, site, state)
            for term in terms:
                branch = graph.add("plus", branch, made[term])
            total = graph.add("log_add", total, branch)
        self.extend()
        return total

    def run(self, max_nodes: int, moving: set[int]) -> bool:
        """Removes sites, cheapest first and children before parents; whether any went."""
        open_sites = {site: self.between(site) for site in self.states}
        size, changed = self.size(self.terms), False
        while open_sites:
            parents = 0  # bits of the open sites that another open site depends on
            for site in open_sites:
                parents |= self.reach[site] & ~self.bit[site]
            ready = [site for site in open_sites if not parents & self.bit[site]]
            growth = {s: (self.states[s] - 1) * len(open_sites[s][1]) for s in ready}
            site = min(ready, key=lambda s: (growth[s], s))
            terms, between = open_sites.pop(site)
            if not terms or growth[site] > 4 * max_nodes or moving & set(between):
                continue
            total = self.summed(site, terms, between)
            gone = set(terms)
            left = [*(term for term in self.terms if term not in gone), total]
            grown = self.size(left)
            if grown > max(max_nodes, size):
                continue
            self.terms, size, changed = left, grown, True
            for other in open_sites:
                if self.reach[total] & self.bit[other]:
                    open_sites[other] = self.between(other)
        return changed


def sum_out_private(program: Program, max_nodes: int | None = None) -> Program:
    """Sums discrete latents out that reach givens and no ask, while the program stays small.

    Args:
      program: from `lower`.
      max_nodes: nodes, constants included, that the program may grow to; by default `MAX_NODES`,
        or twice its own size where that is more.

    Returns:
      A program with the same asks and the same posterior over the latents that are left: for each
      of their values, its summed `loglik` is the log of the old one's exponential averaged over
      the latents that went. Its `loglik` has a term for each independent part of the sum, not one
      a given. Sites that would need a draw by proposal to be written twice stay.

    Example:
      >>> program = lower(scenario)  # doctest: +SKIP
      >>> len(program.latents), len(sum_out_private(program).latents)  # doctest: +SKIP
      (43, 3)
    """
    if len(program.nodes) > MAX_BEFORE:
        return program
    wanted = reachable(program.nodes, program.loglik) - reachable(program.nodes, program.asks)
    sites = {}
    for number in sorted(wanted):
        states = state_count(program, program.nodes[number])
        if states is not None:
            sites[number] = states
    if not sites:
        return program
    max_nodes = max(MAX_NODES, 2 * len(program.nodes)) if max_nodes is None else max_nodes
    work = _Elimination(program, sites)
    if not work.run(max_nodes, proposed_draws(program.nodes)):
        return program
    return pruned(
        work.graph,
        {name: column for column, name in enumerate(program.latents)},
        work.terms,
        list(program.asks),
        list(program.ask_priors),
        program.names,
        keep_names=False,
    )
