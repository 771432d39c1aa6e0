"""How many disagreements of story and program a blind rebuild catches that other checks miss.

    python -m scripts.measure_agreement --scenarios=2 --out=agreement.json

Offline scenarios give the ground truth: story and program come from one object. A slip is planted
in the program alone, so the story now tells of another one. The other checks look at the changed
document; the blind rebuild is played by a perfect reader, who writes the program that the story
tells, in other names. Also counted: how often a perfect reader of an unchanged story is refused.
"""

from __future__ import annotations

import collections
import dataclasses
import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from absl import app, flags

from ppt_jax.authoring.agreement import AgreementConfig, AskAgreement, compare_programs
from ppt_jax.authoring.author import AuthorConfig, make_plan
from ppt_jax.authoring.checks import CheckConfig, check_scenario
from ppt_jax.authoring.motif import all_motifs
from ppt_jax.authoring.produce import Rejected, produce
from ppt_jax.scenario.document import Scenario, ScenarioError, parse_scenario, to_dict

SCENARIOS = flags.DEFINE_integer("scenarios", 2, "Of each motif.")
SEED = flags.DEFINE_integer("seed", 0, "Of scenarios and slips.")
OUT = flags.DEFINE_string("out", "", "JSON file for the counts.")

Row = dict[str, Any]
Slip = Callable[[Row, np.random.Generator], bool]
_NUMBER = re.compile(r"(?<![\w.'])\d+(?:\.\d+)?(?![\w'])")
_BRANCH = re.compile(r"([\w./]+) if ([^()]+?|\([^()]*\)) else ([\w./]+)")


def _shuffled(rows: list[Row], rng: np.random.Generator) -> Iterator[Row]:
    for place in rng.permutation(len(rows)):
        yield rows[int(place)]


def swapped_branches(data: Row, rng: np.random.Generator) -> bool:
    for node in _shuffled(data["model"], rng):
        found = _BRANCH.search(node["expr"])
        if found and found[1] != found[3]:
            swapped = f"{found[3]} if {found[2]} else {found[1]}"
            node["expr"] = node["expr"].replace(found[0], swapped, 1)
            return True
    return False


def inverted_observation(data: Row, rng: np.random.Generator) -> bool:
    for row in _shuffled(data["given"], rng):
        if re.search(r"== [01]$", row["that"]):
            row["that"] = row["that"][:-1] + ("1" if row["that"].endswith("0") else "0")
            return True
    return False


def turned_comparison(data: Row, rng: np.random.Generator) -> bool:
    for row in _shuffled(data["given"], rng):
        beats = re.fullmatch(r"beats\((.+), (.+), noise=(.+)\)", row["that"])
        if beats:
            row["that"] = f"beats({beats[2]}, {beats[1]}, noise={beats[3]})"
            return True
        for one, other in ((" > ", " < "), (" < ", " > ")):
            if one in row["that"]:
                row["that"] = row["that"].replace(one, other, 1)
                return True
    return False


def lost_observation(data: Row, rng: np.random.Generator) -> bool:
    if len(data["given"]) < 2:
        return False
    data["given"].pop(int(rng.integers(len(data["given"]))))
    return True


def off_by_one(data: Row, rng: np.random.Generator) -> bool:
    for node in _shuffled(data["model"], rng):
        for one, other in ((" <= ", " < "), (" >= ", " > "), (" < ", " <= "), (" > ", " >= ")):
            if one in node["expr"]:
                node["expr"] = node["expr"].replace(one, other, 1)
                return True
    return False


def other_entity(data: Row, rng: np.random.Generator) -> bool:
    """An observation is booked to another member of its set."""
    taken = {row["that"].split("==")[0].strip() for row in data["given"]}
    for row in _shuffled(data["given"], rng):
        for named in data["sets"]:
            for label in re.findall(r"'([^']*)'", row["that"]):
                others = [member for member in named["members"] if member != label]
                for other in others if label in named["members"] else ():
                    changed = row["that"].replace(f"'{label}'", f"'{other}'")
                    if changed.split("==")[0].strip() not in taken:
                        row["that"] = changed
                        return True
    return False


def other_number(data: Row, rng: np.random.Generator) -> bool:
    """A number of the program that is not the story's."""
    for node in _shuffled(data["model"], rng):
        found = [m for m in _NUMBER.finditer(node["expr"]) if float(m[0]) not in (0.0, 1.0, 2.0)]
        if found:
            one = found[int(rng.integers(len(found)))]
            value = float(one[0])
            other = value * (0.5 if 0.5 <= value < 1 else 1.6)
            text = f"{other:.6g}"
            if "." not in one[0]:
                text = str(max(1, round(other)))
            node["expr"] = node["expr"][: one.start()] + text + node["expr"][one.end() :]
            return True
    return False


def copied_number(data: Row, rng: np.random.Generator) -> bool:
    """A number of the program that the story tells of something else."""
    numbers = {m[0] for node in data["model"] for m in _NUMBER.finditer(node["expr"])}
    for node in _shuffled(data["model"], rng):
        for one in _NUMBER.finditer(node["expr"]):
            small = float(one[0]) < 1
            others = sorted(n for n in numbers if n != one[0] and (float(n) < 1) == small)
            if others and float(one[0]) not in (0.0, 1.0, 2.0):
                other = others[int(rng.integers(len(others)))]
                node["expr"] = node["expr"][: one.start()] + other + node["expr"][one.end() :]
                return True
    return False


def squared_spread(data: Row, rng: np.random.Generator) -> bool:
    for node in _shuffled(data["model"], rng):
        found = re.search(r"sd=(\d+(?:\.\d+)?)\b", node["expr"])
        if found and float(found[1]) > 1.5:
            node["expr"] = node["expr"].replace(found[0], f"sd={found[1]}**2", 1)
            return True
    return False


def shared_draw(data: Row, rng: np.random.Generator) -> bool:
    """What is drawn anew for each member is drawn once for all."""
    for node in _shuffled(data["model"], rng):
        observed = any(row["that"].startswith(f"{node['name']}[") for row in data["given"])
        if node["kind"] == "draw" and len(node["per"]) == 1 and not observed:
            over, name = node["per"][0], node["name"]
            if re.search(rf"\b{over}\b", node["expr"]):
                continue
            node["per"] = []
            for rows, key in (
                (data["model"], "expr"),
                (data["given"], "that"),
                (data["ask"], "expr"),
            ):
                for row in rows:
                    row[key] = re.sub(rf"\b{name}\[[^\]]*\]", name, row[key])
            return True
    return False


SLIPS: dict[str, Slip] = {
    slip.__name__: slip
    for slip in (
        swapped_branches, inverted_observation, turned_comparison, lost_observation, off_by_one,
        other_entity, other_number, copied_number, squared_spread, shared_draw,
    )
}  # fmt: skip


def renamed(scenario: Scenario) -> Scenario:
    """What a perfect reader writes: the story's own program in other names."""
    new = {one.name: f"{one.name}s" for one in scenario.sets}
    new |= {node.name: f"the_{node.name}" for node in scenario.model}
    words = re.compile(r"'(?:[^'\\]|\\.)*'|\b[A-Za-z_]\w*\b(?!\s*=(?!=))")

    def of(text: str) -> str:
        return words.sub(lambda m: new.get(m[0], m[0]), text)

    data = to_dict(scenario)
    data |= {
        "sets": [{**one, "name": new[one["name"]]} for one in data["sets"]],
        "model": [
            {**n, "name": new[n["name"]], "expr": of(n["expr"]), "per": [new[s] for s in n["per"]]}
            for n in data["model"]
        ],
        "given": [{**row, "that": of(row["that"])} for row in data["given"]],
        "ask": [{**row, "expr": of(row["expr"])} for row in data["ask"]],
        "truth": {},
        "evidence": "chosen",
    }
    return parse_scenario(data)


def sound_scenarios(count: int, seed: int) -> Iterator[Scenario]:
    config = AuthorConfig(seed=seed, told=("full",))
    for motif in all_motifs():
        for number in range(count):
            for attempt in range(100):
                made = produce(
                    make_plan(config, "train", motif, number, attempt), config.checks, config.asks
                )
                if not isinstance(made, Rejected):
                    yield made
                    break


def agrees(asks: tuple[AskAgreement, ...], tv: float, shift: float) -> bool:
    return all(ask.tv <= tv or (shift > 0 and ask.shift <= shift) for ask in asks)


RULES = {"tv 0.05": (0.05, 0), "tv 0.1": (0.1, 0), "tv 0.1 or mean 0.1": (0.1, 0.1),
         "tv 0.1 or mean 0.25": (0.1, 0.25), "tv 0.2": (0.2, 0)}  # fmt: skip


def main(arguments: list[str]) -> None:
    del arguments
    start = time.time()
    checks = CheckConfig(max_words=0)
    config = AgreementConfig()
    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    refused: collections.Counter[str] = collections.Counter()
    sound = 0
    for scenario in sound_scenarios(SCENARIOS.value, SEED.value):
        reader = renamed(scenario)
        bare = dataclasses.replace(scenario, truth={}, evidence="chosen")
        sound += 1
        same = compare_programs(bare, reader, config)
        for name, rule in RULES.items():
            refused[name] += bool(
                same.reason not in ("", "disagree") or not agrees(same.asks, *rule)
            )
        usual = {f.check for f in check_scenario(bare, checks, np.random.default_rng(0))}
        for name, slip in SLIPS.items():
            rng = np.random.default_rng([SEED.value, sound, len(name)])
            data = to_dict(bare)
            if not slip(data, rng) or data == to_dict(bare):
                continue
            row = counts[name]
            row["planted"] += 1
            try:
                changed = parse_scenario(data)
            except ScenarioError:
                row["other checks"] += 1
                row["both"] += 1  # neither would let it pass
                continue
            found = {f.check for f in check_scenario(changed, checks, np.random.default_rng(0))}
            caught = bool(found - usual)
            row["other checks"] += caught
            verdict = compare_programs(changed, reader, config)
            for rule_name, rule in RULES.items():
                apart = verdict.reason not in ("", "disagree") or not agrees(verdict.asks, *rule)
                row[rule_name] += apart
                row[f"{rule_name}, missed by others"] += apart and not caught
            least = max((ask.tv for ask in verdict.asks), default=1.0)
            row["answers hardly change (tv at most 0.05)"] += least <= 0.05
            row["of these missed by others"] += least <= 0.05 and not caught
    print(f"{sound} sound scenarios, {time.time() - start:.0f} s")
    print("refused though sound:", {name: refused[name] for name in RULES})
    columns = ("planted", "other checks", *(f"{r}, missed by others" for r in RULES))
    print("slip | " + " | ".join(columns) + " | unchanged answers, missed by others")
    total: collections.Counter[str] = collections.Counter()
    for name, row in counts.items():
        total.update(row)
        listed = [*(str(row[c]) for c in columns), str(row["of these missed by others"])]
        print(f"{name} | " + " | ".join(listed))
    print("all | " + " | ".join([*(str(total[c]) for c in columns),
                                str(total["of these missed by others"])]))  # fmt: skip
    if OUT.value:
        with open(OUT.value, "w", encoding="utf-8") as file:
            json.dump({"sound": sound, "refused": refused, "slips": counts}, file, indent=1)


if __name__ == "__main__":
    app.run(main)
