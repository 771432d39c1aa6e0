"""Exact answers to the evidence-query pairs of a ProbLog network, in the style of QUITE.

    python -m scripts.quite_exact --premises=alarm0.pl --queries=alarm0_pairs.pl

prints a JSON list with one posterior probability a query, in the order of the query file. Evidence
belongs to the queries of its own ``% ID`` block; in a file without such headings, evidence after a
query begins a new pair. Where a question has no answer (its evidence is impossible, nothing defines
its predicate) the list holds -1, the corpus' own mark, and a line on stderr says why.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence

from ppt_jax.errors import UserError
from ppt_jax.inference.network_queries import Answer, ProblogQueries
from ppt_jax.scenario.networks.network import NetworkError, read_text
from ppt_jax.scenario.networks.problog_syntax import Literal, Statements, parse_problog


@dataclasses.dataclass(frozen=True)
class Pair:
    """The queries that share their evidence: one ``% ID`` block, or one run without headings."""

    evidence: tuple[Literal, ...]
    queries: tuple[Literal, ...]


def pairs(statements: Statements) -> list[Pair]:
    """The evidence-query pairs of a file, in order.

    Raises:
      NetworkError: the file holds clauses, or evidence that no query follows.
    """
    if statements.clauses:
        clause = statements.clauses[0]
        message = "a query file holds evidence(...) and query(...) only"
        raise NetworkError(message, statements.source, clause.line, clause.column)
    merged = [(one, False) for one in statements.evidence]
    merged += [(one, True) for one in statements.queries]
    merged.sort(key=lambda pair: (pair[0].line, pair[0].column))
    headed = any(one.block for one, _ in merged)
    blocks: list[tuple[list[Literal], list[Literal]]] = []
    last = -1
    for one, is_query in merged:
        ended = bool(blocks and blocks[-1][1]) and not is_query
        if not blocks or (one.block != last if headed else ended):
            blocks.append(([], []))
        last = one.block
        blocks[-1][is_query].append(one)
    for evidence, queries in blocks:
        if not queries:
            message = "no query goes with this evidence"
            place = (evidence[0].line, evidence[0].column)
            raise NetworkError(message, statements.source, *place)
    return [Pair(tuple(evidence), tuple(queries)) for evidence, queries in blocks]


def answers(premises: str, queries: str) -> list[Answer]:
    """Answers to all queries of a file.

    A block may name several queries. Those that the program knows nothing of are then passed over,
    so that the list lines up with the pairs.

    Args:
      premises: path of the program.
      queries: path of the evidence-query pairs.

    Raises:
      UserError: a file cannot be read or is outside of the subset, or a network is too dense.
    """
    rules = parse_problog(read_text(premises), premises)
    if rules.queries:
        query = rules.queries[0]
        message = "queries belong into the query file"
        raise NetworkError(message, premises, query.line, query.column)
    asked = pairs(parse_problog(read_text(queries), queries))
    program = ProblogQueries(rules)
    found: list[Answer] = []
    for pair in asked:
        known = [query for query in pair.queries if program.knows(query)]
        for query in known or pair.queries[:1]:
            found.append(program.answer([*rules.evidence, *pair.evidence], query))
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the answers; 2 where the input is wrong."""
    parser = argparse.ArgumentParser(description="Exact answers to ProbLog evidence-query pairs.")
    parser.add_argument("--premises", required=True, metavar="FILE.pl", help="the program")
    parser.add_argument("--queries", required=True, metavar="FILE.pl", help="evidence and queries")
    options = parser.parse_args(argv)
    try:
        found = answers(options.premises, options.queries)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    for answer in found:
        if answer.probability is None:
            print(f"{options.queries}: {answer.reason}", file=sys.stderr)
    print(json.dumps([-1 if one.probability is None else one.probability for one in found]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
