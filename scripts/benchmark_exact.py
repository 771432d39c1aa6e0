"""What exact labels cost: writing states out, elimination, weighting; and queries of networks.

    python -m scripts.benchmark_exact --scenarios=120

prints two Markdown tables. The first takes the discrete scenarios among authored ones, grouped by
the cells (nodes times joint states) that writing all states out takes. The second takes random
networks, one query each with evidence on five variables.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from ppt_jax.inference import exact, factored
from ppt_jax.inference.discrete_route import elimination_route
from ppt_jax.inference.labels import LabelConfig
from ppt_jax.inference.network_queries import posterior, query_network
from ppt_jax.inference.routes import Prepared, exact_route, prepare, table_route
from ppt_jax.scenario.networks.network import Network, Variable
from scripts.benchmark_labels import many_structures

WRITTEN_OUT = 1 << 25  # cells beyond which writing states out is not tried


def milliseconds(call: Callable[[], object], repeats: int = 5) -> float:
    """Mean processor time of a call in ms, after one call that is not counted."""
    call()
    start = time.process_time()
    for _ in range(repeats):
        call()
    return 1e3 * (time.process_time() - start) / repeats


def scenarios(count: int) -> None:
    """The table of authored scenarios."""
    prepared = [prepare(one) for one in many_structures(count)]
    discrete = [one for one in prepared if not factored.obstacle(one.program)]
    groups: dict[int, list[Prepared]] = {}
    for one in discrete:
        cells = len(one.program.nodes) * (exact.joint_size(one.program) or 10**30)
        groups.setdefault(math.floor(math.log10(cells) / 1.5), []).append(one)
    print(f"{len(discrete)} of {len(prepared)} scenarios are discrete.\n")
    print("| cells | scenarios | written out, ms | elimination, ms | table 2 x 8192, ms |")
    print("| --- | ---: | ---: | ---: | ---: |")
    config = LabelConfig()
    for decade, members in sorted(groups.items()):
        small = 10 ** (1.5 * (decade + 1)) <= WRITTEN_OUT
        written = [milliseconds(partial(exact_route, one)) for one in members if small]
        summed = [milliseconds(partial(elimination_route, one)) for one in members]
        weighed = [milliseconds(partial(table_route, [one], 8192, config)) for one in members]
        low, high = 10 ** (1.5 * decade), 10 ** (1.5 * (decade + 1))
        shown = f"{np.mean(written):.2f}" if written else "-"
        print(
            f"| {low:.0e} to {high:.0e} | {len(members)} | {shown} | {np.mean(summed):.2f} "
            f"| {np.mean(weighed):.2f} |"
        )


def random_network(count: int, reach: int, seed: int) -> Network:
    """Two to five states, at most four parents among the ``reach`` variables before."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(2, 6, count).tolist()
    variables = []
    for v in range(count):
        most = min(v, reach, int(rng.integers(0, 5)))
        parents = tuple(
            sorted(int(p) for p in rng.choice(range(max(0, v - reach), v), most, False))
        )
        table = rng.dirichlet(np.ones(sizes[v]), size=[sizes[p] for p in parents])
        states = tuple(f"s{i}" for i in range(sizes[v]))
        variables.append(Variable(f"v{v}", states, parents, table))
    return Network("random", tuple(variables))


def networks() -> None:
    """The table of random networks."""
    print("\n| variables | parents among the last | ms a query: mean | max |")
    print("| ---: | ---: | ---: | ---: |")
    for count, reach in ((40, 8), (70, 8), (100, 8), (100, 12), (300, 8)):
        times = []
        for seed in range(4):
            net = query_network(random_network(count, reach, seed))
            rng = np.random.default_rng(seed)
            for _ in range(5):
                target, *seen = (int(v) for v in rng.choice(count, 6, replace=False))
                evidence = dict.fromkeys(seen, (0,))
                start = time.process_time()
                posterior(net, target, evidence)
                times.append(1e3 * (time.process_time() - start))
        print(f"| {count} | {reach} | {np.mean(times):.1f} | {max(times):.1f} |")


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--scenarios", type=int, default=120)
    options = parser.parse_args()
    scenarios(options.scenarios)
    networks()


if __name__ == "__main__":
    main()
