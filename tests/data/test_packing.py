import collections
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppt_jax.data.layout import batch_of, sample_leaves, uniform_of
from ppt_jax.data.packing import Batch, PackConfig, balanced_shapes, units_of
from ppt_jax.data.supports import Support, support_of
from ppt_jax.data.trees import AskTree, Compiler, ScenarioTree, answer_paths, merge
from ppt_jax.data.tries import AnswerTries
from ppt_jax.errors import UserError
from tests.data import examples

FULL = PackConfig(rows=4, tokens=1500, nodes=900, edges=2000, asks=8, mode="full")


def visible(batch: Batch, row: int, at: int) -> list[int]:
    """Tokens that token ``at`` sees by the packing rule, in order."""
    end_T = batch["end_BT"][row]
    seen = [j for j in range(at + 1) if j <= at < end_T[j]]
    return [int(batch["tokens_BT"][row, j]) for j in seen]


def ask_log_probs(batch: Batch, stop_SV: np.ndarray, answers: int) -> dict[int, dict[int, float]]:
    """Answer log-probabilities read from a batch with the toy model."""
    vocab_size = stop_SV.shape[1]
    result: dict[int, dict[int, float]] = collections.defaultdict(dict)
    for row in range(len(batch["tokens_BT"])):
        cache: dict[int, np.ndarray] = {}
        for edge in np.flatnonzero(batch["edge_answer_BE"][row] >= 0):
            total, step = 0.0, int(edge)
            while step >= 0:
                at = int(batch["node_BN"][row, batch["edge_node_BE"][row, step]])
                if at not in cache:
                    seen = visible(batch, row, at)
                    assert len(seen) == batch["positions_BT"][row, at] + 1
                    cache[at] = examples.toy_log_probs(seen, vocab_size)
                token = int(batch["edge_token_BE"][row, step])
                total += examples.edge_log_prob(cache[at], token, stop_SV)
                step = int(batch["edge_parent_BE"][row, step])
            slot, answer = divmod(int(batch["edge_answer_BE"][row, edge]), answers)
            result[int(batch["ask_index_BA"][row, slot])][answer] = total
    return result


def compiled(kind: str, count: int, **how: int) -> tuple[Compiler, list[ScenarioTree]]:
    compiler = Compiler(examples.tokenizer_of(kind))
    return compiler, compiler.trees(examples.records(count, **how))


@pytest.mark.parametrize("kind", examples.KINDS)
def test_packed_pass_equals_every_path_alone(kind: str) -> None:
    compiler, trees = compiled(kind, 2, words=8)
    units, rejects = units_of(trees, FULL)
    assert not rejects
    scores = ask_log_probs(batch_of(units, FULL), compiler.stop_SV, FULL.max_answers)
    count = 0
    for tree in trees:
        for path in answer_paths(tree):
            total = 0.0
            for at, edge in zip(path.nodes, path.edges):
                log_probs_V = examples.toy_log_probs(path.tokens[: at + 1], compiler.vocab_size)
                total += examples.edge_log_prob(log_probs_V, edge, compiler.stop_SV)
            assert math.isclose(scores[path.ask][path.answer], total, rel_tol=1e-12)
            count += 1
    assert count == sum(len(ask.target_K) for tree in trees for ask in tree.asks)


@pytest.mark.parametrize("kind", examples.KINDS)
def test_paths_are_the_tokenizers_own_tokens(kind: str) -> None:
    from ppt_jax.data.prompts import answer_scale, frame
    from ppt_jax.data.supports import support_of

    tokenizer = examples.tokenizer_of(kind)
    record = examples.records(1, words=8)[0]
    compiler = Compiler(tokenizer)
    paths = {(path.ask, path.answer): path for path in answer_paths(compiler.tree(record))}
    for at, ask in enumerate(record.asks):
        scale = answer_scale(ask.kind, ask.unit, ask.low, ask.high, ask.options)
        prompt = frame(tokenizer, record.story, ask.text, scale)
        for k, answer in enumerate(support_of(ask.kind, ask.options).answers):
            text = prompt.text + answer + ">"
            tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
            path = paths[at, k]
            assert list(path.tokens) == tokens[:-1]
            # The last edge is the stop set that the tokenizer's own last token belongs to.
            assert compiler.stop_SV[path.edges[-1] - compiler.vocab_size, tokens[-1]]


@pytest.mark.parametrize("mode", ["full", "train", "text", "story"])
def test_visibility_is_ancestry(mode: str) -> None:
    _, trees = compiled("digits", 3, words=12)
    config = PackConfig(rows=1, tokens=2200, nodes=2000, edges=4000, asks=16, mode=mode)
    units, _ = units_of(trees, config)
    batch = batch_of(units, config)
    end_T, position_T = batch["end_BT"][0], batch["positions_BT"][0]
    used = max(np.flatnonzero(batch["tokens_BT"][0])) + 1
    parents: list[int] = []
    last_at_depth: dict[int, int] = {}
    for at in range(used):  # positions alone tell the tree of a preorder
        depth = int(position_T[at])
        parents.append(last_at_depth[depth - 1] if depth else -1)
        last_at_depth[depth] = at
    for at in range(used):
        ancestors, step = set(), at
        while step >= 0:
            ancestors.add(step)
            step = parents[step]
        assert {j for j in range(used) if j <= at < end_T[j]} == ancestors
    padding = np.arange(used, config.tokens)
    np.testing.assert_array_equal(end_T[padding], padding + 1)


@pytest.mark.parametrize("mode", ["full", "train"])
def test_masses_of_an_ask_sum_to_one(mode: str) -> None:
    _, trees = compiled("digits", 4)
    config = PackConfig(
        rows=4, tokens=1500, nodes=900, edges=2000, asks=8, mode=mode, max_stop_nodes=3
    )
    batch = batch_of(units_of(trees, config)[0], config)
    sums: dict[int, float] = collections.Counter()
    for row, edge in zip(*np.nonzero(batch["edge_answer_BE"] >= 0)):
        slot = batch["edge_answer_BE"][row, edge] // config.max_answers
        index = int(batch["ask_index_BA"][row, slot])
        sums[index] += float(batch["edge_mass_BE"][row, edge])
    assert len(sums) == 16
    np.testing.assert_allclose(list(sums.values()), 1.0, rtol=1e-5)
    roots = (batch["edge_parent_BE"] < 0) & (batch["edge_mass_BE"] > 0)
    assert math.isclose(batch["edge_mass_BE"][roots].sum(), 16, rel_tol=1e-5)


def test_training_keeps_every_edge_that_is_not_a_sampled_leaf() -> None:
    compiler, trees = compiled("digits", 2, words=10)
    everything = PackConfig(
        rows=4, tokens=1500, nodes=900, edges=2000, asks=8, mode="train", max_stop_nodes=None
    )
    full = batch_of(units_of(trees, FULL)[0], FULL)
    kept = batch_of(units_of(trees, everything)[0], everything)
    supervised = full["edge_mass_BE"] > 0
    assert supervised.sum() == (kept["edge_mass_BE"] > 0).sum()
    assert kept["edge_mass_BE"].sum() == pytest.approx(full["edge_mass_BE"].sum())
    # Cross-entropy with the toy model is the same: only edges of zero mass are missing.
    loss = [cross_entropy(batch, compiler.stop_SV) for batch in (full, kept)]
    assert loss[0] == pytest.approx(loss[1], rel=1e-6)
    assert (kept["tokens_BT"] != 0).sum() < (full["tokens_BT"] != 0).sum()


def cross_entropy(batch: Batch, stop_SV: np.ndarray) -> float:
    """``- sum over edges of mass * log-probability`` with the toy model."""
    total = 0.0
    for row, edge in zip(*np.nonzero(batch["edge_mass_BE"] > 0)):
        at = int(batch["node_BN"][row, batch["edge_node_BE"][row, edge]])
        log_probs_V = examples.toy_log_probs(visible(batch, row, at), stop_SV.shape[1])
        token = int(batch["edge_token_BE"][row, edge])
        total -= float(batch["edge_mass_BE"][row, edge]) * examples.edge_log_prob(
            log_probs_V, token, stop_SV
        )
    return total


def test_sampled_leaves_leave_the_loss_unbiased() -> None:
    compiler, trees = compiled("whole", 1, words=6, asks=1)
    config = PackConfig(
        rows=1, tokens=400, nodes=200, edges=400, asks=1, mode="train", max_stop_nodes=2
    )
    full = PackConfig(rows=1, tokens=400, nodes=200, edges=400, asks=1, mode="full")
    exact = cross_entropy(batch_of(units_of(trees, full)[0], full), compiler.stop_SV)
    units, _ = units_of(trees, config)
    draws = [
        cross_entropy(batch_of(units, config, seed=seed), compiler.stop_SV) for seed in range(400)
    ]
    error = float(np.std(draws)) / math.sqrt(len(draws))
    assert error > 0  # the draws differ
    assert abs(np.mean(draws) - exact) < 4 * error


@pytest.mark.parametrize("count", [1, 3, 8])
def test_sample_leaves_has_the_right_mean(count: int) -> None:
    mass_L = np.random.default_rng(count).dirichlet(np.full(30, 0.3)) * 0.7
    grid = (np.arange(20_000) + 0.5) / 20_000
    draws = np.stack([sample_leaves(mass_L, count, u) for u in grid])
    np.testing.assert_allclose(draws.mean(axis=0), mass_L, atol=2e-4)
    np.testing.assert_allclose(draws.sum(axis=1), 0.7, rtol=1e-12)
    assert (np.count_nonzero(draws, axis=1) <= count).all()
    assert (draws >= 0).all()
    assert sample_leaves(mass_L, 30, 0.5) is mass_L


def test_uniform_of_is_uniform_and_depends_on_each_argument() -> None:
    draws = [
        uniform_of(seed, position, ask)
        for seed in range(5)
        for position in range(40)
        for ask in range(20)
    ]
    assert len(set(draws)) == len(draws)
    counts, _ = np.histogram(draws, bins=20, range=(0, 1))
    assert counts.sum() == len(draws)
    assert ((counts - 200) ** 2 / 200).sum() < 44  # chi-squared(19), p = 0.001


def test_merge_of_shared_prefixes() -> None:
    merged = merge([[5, 1, 2, 3], [5, 1, 9], [5, 1, 2], [5, 4]])
    assert merged.token_P.tolist() == [5, 1, 2, 3, 9, 4]
    assert merged.position_P.tolist() == [0, 1, 2, 3, 2, 1]
    assert merged.end_P.tolist() == [6, 5, 4, 4, 5, 6]
    assert merged.parent_P.tolist() == [-1, 0, 1, 2, 1, 0]
    assert merged.roots == (3, 4, 2, 5)
    with pytest.raises(UserError, match="same token"):
        merge([[1, 2], [3]])


PATHS = st.lists(st.lists(st.integers(0, 2), max_size=6), min_size=1, max_size=6)


@settings(max_examples=200, deadline=None)
@given(rests=PATHS)
def test_merged_paths_come_back_and_share_every_common_prefix(rests: list[list[int]]) -> None:
    paths = [[9, *rest] for rest in rests]
    merged = merge(paths)
    index_P = np.arange(len(merged.token_P))
    for path, root in zip(paths, merged.roots):
        on_path = (index_P <= root) & (root < merged.end_P)
        assert merged.token_P[on_path].tolist() == path
        assert merged.position_P[root] == len(path) - 1
    prefixes = {tuple(path[:size]) for path in paths for size in range(1, len(path) + 1)}
    assert len(merged.token_P) == len(prefixes)


def test_ask_whose_prompt_begins_anothers() -> None:
    """A root with prompt tokens below it, and two asks with one root."""
    compiler, trees = compiled("whole", 1, words=6, asks=1)
    ask = trees[0].asks[0]
    import dataclasses

    merged = merge([[5, 1, 2], [5, 1], [5, 1], [5, 1, 2, 7]])
    tree = dataclasses.replace(
        trees[0],
        token_P=merged.token_P,
        position_P=merged.position_P,
        end_P=merged.end_P,
        parent_P=merged.parent_P,
        asks=tuple(
            dataclasses.replace(ask, root=root, index=at) for at, root in enumerate(merged.roots)
        ),
    )
    batch = batch_of(units_of([tree], FULL)[0], FULL)
    scores = ask_log_probs(batch, compiler.stop_SV, FULL.max_answers)
    assert scores[1] == scores[2]
    for path in answer_paths(tree):
        total = sum(
            examples.edge_log_prob(
                examples.toy_log_probs(path.tokens[: at + 1], compiler.vocab_size),
                edge,
                compiler.stop_SV,
            )
            for at, edge in zip(path.nodes, path.edges)
        )
        assert examples.close(scores[path.ask][path.answer], total)


def test_long_scenario_moves_asks_to_further_rows() -> None:
    _, trees = compiled("digits", 3, asks=8)
    size = len(trees[0].subset([0]).token_P)
    config = PackConfig(rows=64, tokens=size + 150, nodes=500, edges=900, asks=8, mode="train")
    units, rejects = units_of(trees, config)
    assert not rejects
    assert len(units) > len(trees)
    indices = [ask.index for unit in units for ask in unit.tree.asks]
    assert indices == list(range(24))
    for unit in units:  # the story is repeated whole
        story = trees[0].story_tokens
        source = next(tree for tree in trees if tree.id == unit.tree.id)
        np.testing.assert_array_equal(unit.tree.token_P[:story], source.token_P[:story])


def test_balanced_shapes_leave_tokens_as_the_only_limit() -> None:
    _, trees = compiled("digits", 30, words=20)
    config = balanced_shapes(trees, PackConfig(rows=64, tokens=900, mode="train"))
    batch = batch_of(units_of(trees, config)[0], config)
    used = np.flatnonzero(batch["ask_weight_BA"].sum(axis=1))
    filled = (batch["positions_BT"][used] > 0).mean(axis=1)
    assert np.median(filled) > 0.75
    assert config.nodes < 900
    with pytest.raises(UserError, match="the shortest takes"):
        balanced_shapes(trees, PackConfig(tokens=20))


def test_what_fits_nowhere_is_counted() -> None:
    _, trees = compiled("digits", 2)
    narrow = PackConfig(rows=1, tokens=40, nodes=500, edges=900, asks=8)
    assert units_of(trees, narrow) == ([], {"too_long": 8})
    few = PackConfig(rows=4, tokens=1500, nodes=500, edges=900, asks=8, max_answers=50)
    units, rejects = units_of(trees, few)
    assert rejects == {"too_many_answers": 6}
    assert sum(len(unit.tree.asks) for unit in units) == 2


def test_one_ask_a_row_holds_the_same_asks_and_scores() -> None:
    compiler, trees = compiled("merged", 2, words=6)
    single = PackConfig(rows=8, tokens=400, nodes=300, edges=600, asks=1, mode="full")
    batch = batch_of(units_of(trees, single)[0], single)
    assert sorted(batch["ask_index_BA"][:, 0]) == list(range(8))
    packed = batch_of(units_of(trees, FULL)[0], FULL)
    left = ask_log_probs(batch, compiler.stop_SV, 101)
    right = ask_log_probs(packed, compiler.stop_SV, 101)
    assert left == right


def test_next_token_rows_supervise_the_story_once() -> None:
    _, trees = compiled("whole", 3, words=10)
    config = PackConfig(rows=1, tokens=400, nodes=400, edges=400, asks=4, mode="story")
    units, _ = units_of(trees, config)
    batch = batch_of(units, config)
    start = 0
    for slot, tree in enumerate(trees):
        count = tree.story_tokens
        assert batch["ask_weight_BA"][0, slot] == count - 1
        np.testing.assert_array_equal(
            batch["tokens_BT"][0, start : start + count], tree.token_P[:count]
        )
        start += count
    edges = np.flatnonzero(batch["edge_mass_BE"][0])
    assert len(edges) == batch["ask_weight_BA"].sum() == start - 3
    at = batch["node_BN"][0, batch["edge_node_BE"][0, edges]]
    np.testing.assert_array_equal(batch["tokens_BT"][0, at + 1], batch["edge_token_BE"][0, edges])


def test_story_tokens_cover_the_story_and_no_more() -> None:
    tokenizer = examples.tokenizer_of("whole")
    record = examples.records(1)[0]
    tree = Compiler(tokenizer).tree(record)
    text = tokenizer.decode(tree.token_P[: tree.story_tokens].tolist())
    assert text == f"<|begin|><|user|>{record.story}"


def test_whole_prompt_mode_shares_mass_where_asks_part() -> None:
    _, trees = compiled("whole", 1, words=10)
    config = PackConfig(rows=1, tokens=600, nodes=600, edges=600, asks=1, mode="text")
    batch = batch_of(units_of(trees, config)[0], config)
    mass_N = np.zeros(config.nodes)
    np.add.at(mass_N, batch["edge_node_BE"][0], batch["edge_mass_BE"][0])
    nodes = int(batch["ask_weight_BA"][0, 0])
    np.testing.assert_allclose(mass_N[:nodes], 1.0, rtol=1e-6)
    assert (batch["edge_mass_BE"] > 0).sum() == len(trees[0].token_P) - 1


@pytest.mark.parametrize(
    ("field", "value"),
    [("rows", 0), ("tokens", 1.5), ("mode", "eval"), ("max_stop_nodes", 0), ("asks", True)],
)
def test_bad_config_names_the_field(field: str, value: object) -> None:
    with pytest.raises(UserError, match=field):
        PackConfig(**{field: value})  # type: ignore[arg-type]


def test_too_many_units_for_a_batch() -> None:
    _, trees = compiled("whole", 3)
    config = PackConfig(rows=1, tokens=400, nodes=300, edges=500, asks=4)
    with pytest.raises(UserError, match="rows"):
        batch_of(units_of(trees, config)[0], config)


def test_worked_example_of_the_docs() -> None:
    tries = AnswerTries(examples.tokenizer_of("digits"))
    numbers = tries.trie(Support(("4", "42", "7"), (4.0, 42.0, 7.0)), "<")
    merged = merge([[1, 2, 3, 4], [1, 2, 5, 4]])
    tree = ScenarioTree(
        "docs",
        merged.token_P,
        merged.position_P,
        merged.end_P,
        merged.parent_P,
        2,
        (
            AskTree(merged.roots[0], numbers, np.array([0.5, 0.3, 0.2]), 0, "docs/a"),
            AskTree(
                merged.roots[1],
                tries.trie(support_of("choice", ["no", "yes"]), "<"),
                np.array([0.9, 0.1]),
                1,
                "docs/b",
            ),
        ),
    )
    config = PackConfig(rows=1, tokens=16, nodes=8, edges=11, asks=2, mode="full")
    batch = {
        name: array[0].tolist()
        for name, array in batch_of(units_of([tree], config)[0], config).items()
    }
    stop = tries.vocab_size
    four, two, seven, no, y, es = (
        tries.encode(text)[0] for text in ("4", "2", "7", "no", "y", "es")
    )
    assert batch["tokens_BT"] == [1, 2, 3, 4, four, two, seven, 5, 4, no, y, es, 0, 0, 0, 0]
    assert batch["positions_BT"] == [0, 1, 2, 3, 4, 5, 4, 2, 3, 4, 4, 5, 0, 0, 0, 0]
    assert batch["end_BT"] == [12, 12, 7, 7, 6, 6, 7, 12, 12, 10, 12, 12, 13, 14, 15, 16]
    assert batch["node_BN"] == [3, 4, 5, 6, 8, 9, 10, 11]
    assert batch["edge_node_BE"] == [0, 1, 1, 2, 0, 3, 4, 5, 4, 6, 7]
    assert batch["edge_token_BE"] == [
        four, stop, two, stop, seven, stop, no, stop, y, es, stop
    ]  # fmt: skip
    assert batch["edge_parent_BE"] == [-1, 0, 0, 2, -1, 4, -1, 6, -1, 8, 9]
    assert batch["edge_answer_BE"] == [-1, 0, -1, 1, -1, 2, -1, 101, -1, -1, 102]
    np.testing.assert_allclose(batch["edge_mass_BE"][:6], [0.8, 0.5, 0.3, 0.3, 0.2, 0.2], rtol=1e-6)
