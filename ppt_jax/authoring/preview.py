"""Reads motifs aloud: stories, asks and how the checks judge them.

``python -m ppt_jax.authoring.preview tug_of_war paired_ranking --stories=3 --tries=60``
"""

from __future__ import annotations

import argparse
import collections
import time
import zlib

import numpy as np

from ppt_jax.authoring.checks import CheckConfig
from ppt_jax.authoring.compose import Plan
from ppt_jax.authoring.draft import Knobs
from ppt_jax.authoring.genres import find_genres
from ppt_jax.authoring.motif import Motif, find_motifs
from ppt_jax.authoring.produce import Rejected, produce
from ppt_jax.scenario.document import Scenario


def sample_plan(motif: Motif, number: int, knobs: Knobs, genres: tuple[str, ...]) -> Plan:
    """The plan of the preview's n-th scenario of a motif, drawn from fixed seeds."""
    key = (zlib.crc32(motif.name.encode()), number)
    rng = np.random.default_rng(np.random.SeedSequence(key))
    skins = motif.skins()
    return Plan(
        id=f"{motif.name}-{number}",
        motif=motif,
        skin=skins[int(rng.integers(len(skins)))],
        genre=genres[int(rng.integers(len(genres)))],
        asides=int(rng.integers(0, 2)),
        knobs=knobs,
        split="preview",
        key=key,
    )


def _print_story(scenario: Scenario) -> None:
    print(f"\n--- {scenario.id} | {scenario.skin} | {scenario.genre}\n{scenario.story}")
    for ask in scenario.ask:
        ends = f"{ask.low:g}..{ask.high:g} {ask.unit}" if ask.kind == "value" else ask.options
        print(f"    [{ask.kind}] {ask.text}  <{ask.expr}>  {ends or ''}")


def preview(motif: Motif, *, stories: int, tries: int, first: int, told: str, genres: str) -> None:
    """Prints some stories of a motif, then counts by verdict, time and ask kind."""
    verdicts: collections.Counter[str] = collections.Counter()
    kinds: collections.Counter[str] = collections.Counter()
    details: dict[str, str] = {}
    words: list[int] = []
    started = time.perf_counter()
    knobs, names = Knobs(told=told), find_genres(genres.split(",") if genres != "all" else "all")
    for number in range(first, first + tries):
        result = produce(sample_plan(motif, number, knobs, names), CheckConfig(), (2, 4))
        if isinstance(result, Rejected):
            verdicts[result.reason] += 1
            details.setdefault(result.reason, result.detail)
            continue
        verdicts["accepted"] += 1
        kinds.update(ask.kind for ask in result.ask)
        words.append(len(result.story.split()))
        if len(words) <= stories:
            _print_story(result)
    each = (time.perf_counter() - started) / max(tries, 1) * 1000
    length = f"{np.mean(words):.0f} words" if words else "no story"
    print(f"\n== {motif.name}: {dict(verdicts)}, {length}, asks {dict(kinds)}, {each:.1f} ms each")
    for reason, detail in details.items():
        print(f"   {reason}: {detail}")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("motifs", nargs="*", help="motif names; none for all")
    parser.add_argument("--stories", type=int, default=2, help="stories to print per motif")
    parser.add_argument("--tries", type=int, default=40, help="scenarios to try per motif")
    parser.add_argument("--first", type=int, default=0, help="number of the first one")
    parser.add_argument("--told", default="full", help="full or verbal numbers")
    parser.add_argument("--genres", default="all", help="all, or names with commas")
    args = parser.parse_args()
    for motif in find_motifs(args.motifs or "all"):
        preview(
            motif,
            stories=args.stories,
            tries=args.tries,
            first=args.first,
            told=args.told,
            genres=args.genres,
        )


if __name__ == "__main__":
    main()
