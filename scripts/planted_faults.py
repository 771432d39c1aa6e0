r"""Plants faults of modelling and telling into sound scenarios and counts which check finds them.

  python -m scripts.planted_faults                      # about two minutes on one core
  python -m scripts.planted_faults --places=4 --sound=100

Sound are scenarios of the offline author, of every motif, and the format's worked examples. Each
fault is a small change of the document as an author would hand it in, without a stored truth. What
no check finds is compared with a rebuild of the story, for which the sound program stands: it says
what the story says. Docs: docs/checks.md.
"""

from __future__ import annotations

import argparse
import collections
import copy
import dataclasses
import json
import pathlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ppt_jax.authoring.agreement import AgreementConfig, compare_programs
from ppt_jax.authoring.author import AuthorConfig, make_plan
from ppt_jax.authoring.checks import CheckConfig, check_scenario
from ppt_jax.authoring.compose import write_scenario
from ppt_jax.authoring.motif import all_motifs
from ppt_jax.authoring.produce import keep_asks
from ppt_jax.authoring.text_checks import check_text
from ppt_jax.errors import UserError
from ppt_jax.scenario.document import Scenario, parse_scenario, to_dict
from scripts.fault_catalogue import FAULTS, Fault

DOCUMENTS = pathlib.Path(__file__).parents[1] / "tests" / "scenario" / "documents"
CHECKS = CheckConfig(max_words=0)
REBUILD = AgreementConfig(min_ess=1000.0, most_particles=1 << 15)


@dataclasses.dataclass
class Row:
    """What became of one fault."""

    planted: int = 0
    found: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    caught: int = 0
    rebuilt: int = 0
    harmless: int = 0
    missed: list[str] = dataclasses.field(default_factory=list)


def worked_examples() -> list[dict[str, Any]]:
    """The format's three worked examples."""
    return [json.loads(path.read_text("utf-8")) for path in sorted(DOCUMENTS.glob("*.json"))]


def offline_scenarios(
    count: int, seed: int = 0, **config: Any
) -> Iterator[tuple[Scenario, list[str]]]:
    """Offline scenarios that pass the checks of statistics, motifs in turn.

    Args:
      count: how many.
      seed: of the author.
      config: other fields of `AuthorConfig`.

    Yields:
      The scenario with its kept asks, and what the text checks object to; nothing is dropped for
      that, so that a false alarm shows.
    """
    author = AuthorConfig(seed=seed, **config)
    made, number = 0, 0
    while made < count:
        for name in all_motifs():
            for attempt in range(12):
                plan = make_plan(author, "train", name, number, attempt)
                try:
                    written = write_scenario(plan)
                except UserError:
                    continue
                rng = np.random.default_rng(np.random.SeedSequence((*plan.key, 1)))
                kept, findings = keep_asks(
                    written.scenario, written.prior, CHECKS, author.asks, rng
                )
                if findings:
                    continue
                yield kept, [f"{one.check}: {one.detail}" for one in check_text(kept)]
                made += 1
                break
            if made == count:
                return
        number += 1


def as_handed_in(scenario: Scenario) -> dict[str, Any]:
    """The document without what only the offline author knows."""
    data = to_dict(scenario)
    for key in ("truth", "provenance", "split"):
        data.pop(key, None)
    return {**data, "evidence": "chosen"}


def judge(sound: Mapping[str, Any], faulty: dict[str, Any]) -> tuple[list[str], str]:
    """The checks that object to a faulty document, and what a rebuild says where none does.

    Returns:
      Names of checks in order, ``c1_parse`` alone where it cannot be read; and ``disagree`` (or
      another reason), ``agree``, or "" where checks objected or there is no rebuild.
    """
    try:
        scenario = parse_scenario(faulty)
    except UserError:
        return ["c1_parse"], ""
    rng = np.random.default_rng(0)
    names = list(dict.fromkeys(f.check for f in check_scenario(scenario, CHECKS, rng)))
    if names or not sound:
        return names, ""
    rebuilt = parse_scenario(dict(sound))
    asks = {ask.id: ask for ask in rebuilt.ask}
    if any(asks[a.id].text != a.text or asks[a.id].options != a.options for a in scenario.ask):
        # the question itself was changed: the rebuild answers the question as it is told
        return [], "agree"
    return [], compare_programs(scenario, rebuilt, REBUILD).reason or "agree"


def plant(
    fault: Fault, pool: Sequence[dict[str, Any]], places: int, seed: int = 0
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Sound documents of the pool in which the fault has a place, each with its faulty twin."""
    rng = np.random.default_rng(
        np.random.SeedSequence((seed, len(fault.name), *fault.name.encode()))
    )
    made = 0
    for place in rng.permutation(len(pool)):
        sound = pool[int(place)]
        faulty = fault.plant(copy.deepcopy(sound), rng)
        if faulty is None or faulty == sound:
            continue
        yield sound, faulty
        made += 1
        if made == places:
            return


def measure(faults: Sequence[Fault], pool: Sequence[dict[str, Any]], places: int) -> dict[str, Row]:
    """Plants every fault in some places and counts what finds it."""
    rows: dict[str, Row] = {}
    for fault in faults:
        row = rows.setdefault(fault.name, Row())
        for sound, faulty in plant(fault, pool, places):
            names, verdict = judge(sound, faulty)
            row.planted += 1
            row.found.update(names)
            row.caught += bool(names)
            row.rebuilt += verdict not in ("", "agree")
            if verdict == "agree":
                row.harmless += 1
                row.missed.append(str(sound["id"]))
    return rows


def table(rows: Mapping[str, Row], kinds: Mapping[str, str]) -> str:
    """The counts as a Markdown table."""
    lines = [
        "| kind | fault | planted | caught | by | left to a rebuild | it differs | same answers |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, row in rows.items():
        by = ", ".join(f"{check} {count}" for check, count in row.found.most_common(4))
        left = row.planted - row.caught
        lines.append(
            f"| {kinds[name]} | {name} | {row.planted} | {row.caught} | {by} | {left} | "
            f"{row.rebuilt} | {row.harmless} |"
        )
    planted, caught = (sum(getattr(row, k) for row in rows.values()) for k in ("planted", "caught"))
    rebuilt = sum(row.rebuilt for row in rows.values())
    same = sum(row.harmless for row in rows.values())
    lines.append(
        f"| | all {len(rows)} | {planted} | {caught} | | {planted - caught} | {rebuilt} | {same} |"
    )
    return "\n".join(lines)


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--places", type=int, default=8, help="scenarios a fault is planted in")
    parser.add_argument("--sound", type=int, default=600, help="sound scenarios")
    parser.add_argument("--seed", type=int, default=0)
    flags = parser.parse_args()
    pool: list[dict[str, Any]] = worked_examples()
    alarms: collections.Counter[str] = collections.Counter()
    told = ("full", "verbal", "implicit")
    count = 0
    for scenario, findings in offline_scenarios(
        flags.sound, flags.seed, told=told, mutations="all", asides=(0, 2)
    ):
        count += 1
        for finding in findings:
            alarms[f"{scenario.motif}: {finding[:160]}"] += 1
        if scenario.told == "full" and not judge({}, as_handed_in(scenario))[0]:
            pool.append(as_handed_in(scenario))
    print(f"{count} sound scenarios, {sum(alarms.values())} false alarms")
    for alarm, times in alarms.most_common(20):
        print(f"  {times} x {alarm}", file=sys.stderr)
    kinds = {fault.name: fault.kind for fault in FAULTS}
    print(table(measure(FAULTS, pool, flags.places), kinds))


if __name__ == "__main__":
    main()
