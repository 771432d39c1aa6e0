"""What a readout asks of a model: answer probabilities, likelihoods of texts, and free text.

`LanguageModel` is the interface; `DecoderModel` is a decoder of `ppt_jax.models` with a tokenizer.
Readouts are written against the interface, so tests put toy models in its place.

Axes: B rows, T tokens, N nodes, V vocabulary, K answers, A asks.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from ppt_jax.data.packing import PackConfig, balanced_shapes, size_of, units_of
from ppt_jax.data.pipeline import StreamConfig, packed_batches
from ppt_jax.data.prompts import frame
from ppt_jax.data.supports import CLOSE, OPEN, Support
from ppt_jax.data.trees import Compiler
from ppt_jax.data.vocabulary import encoder_of, token_bytes
from ppt_jax.errors import UserError
from ppt_jax.models.answers import StopSets, answer_log_probs
from ppt_jax.models.architecture import DecoderConfig
from ppt_jax.models.decoder import Params, make_apply
from ppt_jax.models.generation import SamplingConfig, make_generate, pad_prompts
from ppt_jax.progress import Progress

_LOGIT_BYTES = 256 << 20  # logits of one batch: rows are chosen so that they fit
_MOST_ROWS = 64


@dataclasses.dataclass(frozen=True)
class Asked:
    """One question in words, with the answers it admits.

    Attributes:
      id: for messages.
      story: context.
      question: what is asked.
      scale: one sentence that says how to answer.
      answers: the K answers, as written between ``<`` and ``>``.
    """

    id: str
    story: str
    question: str
    scale: str
    answers: tuple[str, ...]


class Likelihood(NamedTuple):
    """Log-probability of a text behind a context.

    Attributes:
      logp: natural logarithm, sum over its tokens.
      tokens: number of tokens.
      bytes: length in UTF-8.
    """

    logp: float
    tokens: int
    bytes: int


class LanguageModel(Protocol):
    """A model that readouts can question."""

    def answer_log_probs(self, asks: Sequence[Asked]) -> list[np.ndarray]:
        """Exact log-probability of every answer [K], closing bracket included."""
        ...

    def likelihoods(
        self, contexts: Sequence[tuple[str, str]], texts: Sequence[Sequence[str]]
    ) -> list[list[Likelihood]]:
        """Log-probability of each text as the answer to its context, a (story, question) pair."""
        ...

    def write(
        self, asks: Sequence[Asked], *, samples: int, temperature: float, tokens: int, seed: int
    ) -> list[list[str]]:
        """Texts that the model writes behind the prefilled ``<``, up to its first ``>``.

        ``samples`` texts an ask; temperature 0 is greedy. Questions without answers
        (``answers == ()``) are not prefilled and end at the end of the turn.
        """
        ...


class DecoderModel:
    """A decoder with its tokenizer as a `LanguageModel`, sharded over this process's devices.

    Args:
      config: the decoder's shape.
      params: its parameters.
      tokenizer: a fast `transformers` tokenizer.
      silent: no progress bars.
    """

    def __init__(
        self, config: DecoderConfig, params: Params, tokenizer: Any, *, silent: bool = False
    ) -> None:
        self.config, self.tokenizer, self.silent = config, tokenizer, silent
        self.compiler = Compiler(tokenizer, config.vocab_size)
        self._apply = make_apply(config)
        self._encoder = encoder_of(tokenizer)
        self._bytes = token_bytes(tokenizer)
        devices = jax.local_devices()
        self._rows_of = len(devices)
        mesh = jax.sharding.Mesh(np.array(devices), ("data",))
        spec = jax.sharding.PartitionSpec
        self._split = jax.sharding.NamedSharding(mesh, spec("data"))
        whole = jax.sharding.NamedSharding(mesh, spec())
        on_one = all(len(leaf.devices()) == 1 for leaf in jax.tree.leaves(params) if _is_jax(leaf))
        # Parameters that are spread already stay as they are; others go to every device.
        self.params = jax.device_put(params, whole) if on_one else params

    def _put(self, array: Any) -> jax.Array:
        return jax.device_put(np.asarray(array), self._split)

    def _rows(self, floats_per_row: int) -> int:
        """Rows of a batch: as many as the logits' room allows, a multiple of the devices."""
        room = max(1, _LOGIT_BYTES // (4 * floats_per_row * self._rows_of))
        return self._rows_of * min(room, max(1, _MOST_ROWS // self._rows_of))

    def answer_log_probs(self, asks: Sequence[Asked]) -> list[np.ndarray]:
        """See `LanguageModel`; asks about one story share its tokens."""
        if not asks:
            return []
        order: dict[str, list[int]] = collections.defaultdict(list)
        for at, ask in enumerate(asks):
            order[ask.story].append(at)
        trees: list[Any] = []
        place: list[int] = []
        for at_story in order.values():
            group = [asks[at] for at in at_story]
            for ask in group:
                self.compiler.refuse_special(
                    f"question {ask.id}", ask.story, ask.question, ask.scale
                )
            supports = [
                Support(ask.answers, tuple(map(float, range(len(ask.answers))))) for ask in group
            ]
            prompts = [frame(self.tokenizer, a.story, a.question, a.scale) for a in group]
            flat = [np.full(len(a.answers), 1 / len(a.answers), np.float32) for a in group]
            names = [ask.id for ask in group]
            trees.append(
                self.compiler.from_prompts(names[0], names, prompts, supports, flat, len(place))
            )
            place += at_story
        shapes = self._shapes(trees, max(len(ask.answers) for ask in asks))
        units, left_out = units_of(trees, shapes)
        assert not left_out, left_out
        stream = StreamConfig(shuffle=False, epochs=1)
        run = self._reader(np.packbits(self.compiler.stop_SV).tobytes(), shapes.max_answers)
        found: list[np.ndarray | None] = [None] * len(asks)
        batches = list(packed_batches(units, shapes, stream, pad=self.compiler.pad))
        with Progress("read answers", len(batches), "batch", silent=self.silent) as bar:
            for batch in batches:
                logp_BAK = np.asarray(run(self.params, jax.tree.map(self._put, dict(batch))))
                index_BA = batch["ask_index_BA"]
                for row, slot in zip(*np.nonzero(index_BA >= 0), strict=True):
                    at = place[int(index_BA[row, slot])]
                    found[at] = logp_BAK[row, slot, : len(asks[at].answers)].astype(np.float64)
                bar.advance()
        return [logp for logp in found if logp is not None]

    def _shapes(self, trees: Sequence[Any], max_answers: int) -> PackConfig:
        wide = PackConfig(
            mode="full", tokens=1 << 30, nodes=1 << 30, edges=1 << 30, max_answers=max_answers
        )
        longest = max(
            size_of(tree.subset([at]), wide).tokens
            for tree in trees
            for at in range(len(tree.asks))
        )
        tokens = -(-longest // 64) * 64
        alone = [tree.subset([at]) for tree in trees for at in range(len(tree.asks))]
        shapes = balanced_shapes(alone, dataclasses.replace(wide, tokens=tokens))
        rows = self._rows(shapes.nodes * self.config.vocab_size)
        rows = min(rows, -(-len(trees) // self._rows_of) * self._rows_of)
        return dataclasses.replace(shapes, rows=rows)

    @functools.cache  # noqa: B019  (a model lives as long as the program)
    def _reader(self, stops_key: bytes, max_answers: int) -> Callable[..., jax.Array]:
        stops = StopSets.from_mask(self.compiler.stop_SV)
        return jax.jit(
            lambda params, batch: answer_log_probs(
                self._apply(params, batch, None), batch, stops, max_answers
            )
        )

    def _turn(self, story: str, question: str) -> str:
        """The text before a free answer: chat template or ``question``, ``Answer:``."""
        content = f"{story}\n\n{question}" if story else question
        if getattr(self.tokenizer, "chat_template", None):
            return self.tokenizer.apply_chat_template(
                [{"role": "user", "content": content}],
                tokenize=False,
                add_generation_prompt=True,
                date_string="1 Jan 2026",
                enable_thinking=False,
            )
        begin = getattr(self.tokenizer, "bos_token", None) or ""
        return f"{begin}{content}\nAnswer:"

    def _ids(self, text: str) -> list[int]:
        return list(self._encoder.encode(text, add_special_tokens=False).ids)

    def likelihoods(
        self, contexts: Sequence[tuple[str, str]], texts: Sequence[Sequence[str]]
    ) -> list[list[Likelihood]]:
        """See `LanguageModel`; context and text are tokenised together, as they would be read."""
        glue = "" if getattr(self.tokenizer, "chat_template", None) else " "
        rows: list[tuple[list[int], int, int]] = []  # tokens, where the text begins, bytes
        for (story, question), options in zip(contexts, texts, strict=True):
            head = self._turn(story, question)
            first = self._ids(head)
            for text in options:
                tokens = self._ids(head + glue + text)
                same = 0
                while same < min(len(first), len(tokens) - 1) and first[same] == tokens[same]:
                    same += 1
                if same == 0:
                    raise UserError(f"question {question[:40]!r}: the context has no tokens")
                rows.append((tokens, same, len(text.encode())))
        if not rows:
            return []
        size = -(-max(len(tokens) for tokens, *_ in rows) // 64) * 64
        count = max(len(tokens) - same for tokens, same, _ in rows)
        batch_rows = self._rows(count * self.config.vocab_size)
        values: list[float] = []
        with Progress("likelihoods", len(rows), "text", silent=self.silent) as bar:
            for start in range(0, len(rows), batch_rows):
                part = rows[start : start + batch_rows]
                tokens_BT = np.full((batch_rows, size), self.compiler.pad, np.int32)
                node_BN = np.zeros((batch_rows, count), np.int32)
                next_BN = np.full((batch_rows, count), -1, np.int32)
                for row, (tokens, same, _) in enumerate(part):
                    tokens_BT[row, : len(tokens)] = tokens
                    own = len(tokens) - same
                    node_BN[row, :own] = np.arange(same - 1, len(tokens) - 1)
                    next_BN[row, :own] = tokens[same:]
                logp_B = self._next_tokens()(
                    self.params, self._put(tokens_BT), self._put(node_BN), self._put(next_BN)
                )
                values += np.asarray(logp_B)[: len(part)].tolist()
                bar.advance(len(part))
        out: list[list[Likelihood]] = []
        at = 0
        for options in texts:
            own_rows = rows[at : at + len(options)]
            out.append(
                [
                    Likelihood(value, len(tokens) - same, size)
                    for value, (tokens, same, size) in zip(values[at:], own_rows)
                ]
            )
            at += len(options)
        return out

    @functools.cache  # noqa: B019
    def _next_tokens(self) -> Callable[..., jax.Array]:
        @jax.jit
        def run(
            params: Params, tokens_BT: jax.Array, node_BN: jax.Array, next_BN: jax.Array
        ) -> jax.Array:
            shape = tokens_BT.shape
            batch = {
                "tokens_BT": tokens_BT,
                "positions_BT": jnp.broadcast_to(jnp.arange(shape[1], dtype=jnp.int32), shape),
                "end_BT": jnp.full(shape, shape[1], jnp.int32),
                "node_BN": node_BN,
            }
            logp_BNV = jax.nn.log_softmax(self._apply(params, batch, None))
            index_BN1 = jnp.maximum(next_BN, 0)[..., None]
            logp_BN = jnp.take_along_axis(logp_BNV, index_BN1, -1)[..., 0]
            return jnp.where(next_BN >= 0, logp_BN, 0.0).sum(-1)

        return run

    def write(
        self, asks: Sequence[Asked], *, samples: int, temperature: float, tokens: int, seed: int
    ) -> list[list[str]]:
        """See `LanguageModel`."""
        groups = {True: [], False: []}  # type: dict[bool, list[int]]
        for at, ask in enumerate(asks):
            groups[bool(ask.answers)].append(at)
        out: list[list[str]] = [[] for _ in asks]
        for closed, members in groups.items():
            jobs = [(at, self._prompt(asks[at]), s) for at in members for s in range(samples)]
            for (at, *_), text in zip(jobs, self._texts(jobs, closed, temperature, tokens, seed)):
                out[at].append(text)
        return out

    def _prompt(self, ask: Asked) -> list[int]:
        """Prompt tokens; a last token that an answer could merge with is left to the model."""
        if not ask.answers:
            content = "\n".join(part for part in (ask.question, ask.scale) if part)
            return self._ids(self._turn(ask.story, content))
        text = frame(self.tokenizer, ask.story, ask.question, ask.scale).text
        alone = self._ids(text)
        keep = len(alone)
        for answer in ask.answers[:: max(1, len(ask.answers) // 4)]:
            joined = self._ids(text + answer + CLOSE)
            same = next((n for n, (a, b) in enumerate(zip(alone, joined)) if a != b), len(alone))
            keep = min(keep, same)
        return alone[: max(keep, 1)]

    def _texts(
        self,
        jobs: Sequence[tuple[int, list[int], int]],
        closed: bool,
        temperature: float,
        tokens: int,
        seed: int,
    ) -> list[str]:
        if not jobs:
            return []
        end = getattr(self.tokenizer, "eos_token_id", None)
        stops = {int(end)} if end is not None else set()
        if closed:
            close = CLOSE.encode()
            stops |= {at for at, text in enumerate(self._bytes) if text and close in text}
        sampling = SamplingConfig(
            max_new_tokens=tokens,
            temperature=temperature,
            stop_tokens=tuple(sorted(stops)),
            pad=self.compiler.pad,
        )
        generate = self._generator(sampling)
        width = -(-max(len(prompt) for _, prompt, _ in jobs) // 64) * 64
        room = (width + tokens) * self.config.layers * self.config.kv_heads * self.config.head_size
        rows = self._rows(max(2 * room, self.config.vocab_size))
        texts: list[str] = []
        with Progress("write", len(jobs), "text", silent=self.silent) as bar:
            for start in range(0, len(jobs), rows):
                part = jobs[start : start + rows]
                padded = pad_prompts(
                    [prompt for _, prompt, _ in part],
                    pad=self.compiler.pad,
                    multiple=width,
                    rows=rows,
                )
                key = jax.random.fold_in(jax.random.key(seed), start)
                out = generate(self.params, *map(self._put, padded), key)
                for row, length in zip(
                    np.asarray(out.tokens_BG)[: len(part)],
                    np.asarray(out.length_B)[: len(part)],
                ):
                    texts.append(self._text(row[: int(length)].tolist()))
                bar.advance(len(part))
        return texts

    @functools.cache  # noqa: B019
    def _generator(self, sampling: SamplingConfig) -> Any:
        return make_generate(self.config, sampling)

    def _text(self, tokens: Sequence[int]) -> str:
        """What tokens write; special tokens and ids beyond the tokenizer's write nothing."""
        pieces = [self._bytes[t] or b"" for t in tokens if t < len(self._bytes)]
        return b"".join(pieces).decode("utf-8", errors="replace").removeprefix(OPEN)


def _is_jax(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array)


def normalised(logits: Sequence[float]) -> np.ndarray:
    """Probabilities in proportion to ``exp(logits)``; equal ones where nothing is finite."""
    values = np.asarray(logits, np.float64)
    top = values.max()
    if not math.isfinite(top):
        return np.full(len(values), 1 / len(values))
    p_K = np.exp(values - top)
    return p_K / p_K.sum()
