"""A decoder of ours as the model of the authoring room's local back end."""

from __future__ import annotations

import hashlib
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jinja2
import numpy as np

from launch.loading import load_model
from ppt_jax.data.vocabulary import encoder_of, token_bytes
from ppt_jax.errors import UserError
from ppt_jax.models.architecture import DecoderConfig
from ppt_jax.models.decoder import Params
from ppt_jax.models.exchange import read_json
from ppt_jax.models.generation import pad_prompts
from ppt_jax.models.guided import Guide, GuidedGenerate

if TYPE_CHECKING:
    from ppt_jax.authoring.backends.grammars import SchemaGuide
    from ppt_jax.authoring.backends.protocol import Message

_PROMPT_STEP, _LIMIT_STEP = 128, 128  # lengths are rounded up to these, so that few are compiled


class DecoderWriter:
    """A decoder with its tokenizer, as `ppt_jax.authoring.backends.local.Writer`.

    Args:
      config: the decoder's shape.
      params: its parameters.
      tokenizer: a fast `transformers` tokenizer.
      label: a name for people; the writer's name adds a fingerprint of the weights, since answers
        are kept under the model's name and other weights give other answers.
      rows: answers written at once.
      end_tokens: further tokens that end an answer, beside the tokenizer's own.

    Raises:
      UserError: tokenizer and decoder do not belong together, or nothing ends an answer.
    """

    def __init__(
        self,
        config: DecoderConfig,
        params: Params,
        tokenizer: Any,
        *,
        label: str = "model",
        rows: int = 8,
        end_tokens: Sequence[int] = (),
    ) -> None:
        if rows < 1:
            raise UserError(f"rows={rows}: must be 1 or more")
        end = getattr(tokenizer, "eos_token_id", None)
        ends = {*end_tokens} if end is None else {int(end), *end_tokens}
        if not ends:
            raise UserError(f"{label}: the tokenizer names no token that ends an answer")
        pieces = token_bytes(tokenizer)
        highest = max(len(pieces) - 1, *ends)
        if highest >= config.vocab_size:
            raise UserError(
                f"{label}: the tokenizer writes ids up to {highest}, the model knows ids up to "
                f"{config.vocab_size - 1}; they do not belong together"
            )
        self.name = f"{label}@{fingerprint(params)}"
        self.tokenizer_json = encoder_of(tokenizer).to_str()
        self.vocab_size = config.vocab_size
        self.end_tokens: tuple[int, ...] = tuple(sorted(ends))
        self.rows = rows
        self._params, self._tokenizer = params, tokenizer
        self._bytes = pieces
        self._generate = GuidedGenerate(config)

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """See `Writer`; models without a chat template read the messages one below the other."""
        if getattr(self._tokenizer, "chat_template", None):
            text = self._rendered([(m.role, m.content) for m in messages])
        else:
            begin = getattr(self._tokenizer, "bos_token", None) or ""
            text = begin + "\n\n".join(m.content for m in messages) + "\n\n"
        return list(encoder_of(self._tokenizer).encode(text, add_special_tokens=False).ids)

    def _rendered(self, turns: list[tuple[str, str]]) -> str:
        """The chat template's text; a system turn that it refuses opens the user's turn instead."""
        try:
            return self._tokenizer.apply_chat_template(
                [{"role": role, "content": content} for role, content in turns],
                tokenize=False,
                add_generation_prompt=True,
            )
        except jinja2.TemplateError as error:
            if len(turns) < 2 or turns[0][0] != "system" or turns[1][0] != "user":
                raise UserError(
                    f"{self.name}: the chat template refuses these messages ({error})"
                ) from error
            first = f"{turns[0][1]}\n\n{turns[1][1]}"
            return self._rendered([("user", first), *turns[2:]])

    def write(
        self,
        prompts: Sequence[Sequence[int]],
        guide: SchemaGuide,
        *,
        limit: int,
        temperatures: Sequence[float],
        seeds: Sequence[int],
    ) -> list[list[int]]:
        """See `Writer`."""
        spare = self.rows - len(prompts)
        if spare < 0:
            raise ValueError(f"{len(prompts)} prompts for {self.rows} rows")
        tokens_BT, real_BT = pad_prompts(prompts, multiple=_PROMPT_STEP, rows=self.rows)
        out = self._generate(
            self._params,
            tokens_BT,
            real_BT,
            _Filled(guide, spare),
            limit=-(-limit // _LIMIT_STEP) * _LIMIT_STEP,
            temperature_B=np.array([*temperatures, *[0.0] * spare]),
            seed_B=np.array([*seeds, *[0] * spare], np.uint32),
        )
        return [
            row[:length].tolist()
            for row, length in zip(out.tokens_BG[: len(prompts)], out.length_B, strict=False)
        ]

    def text(self, tokens: Sequence[int]) -> str:
        """See `Writer`."""
        pieces = [self._bytes[t] or b"" for t in tokens if t < len(self._bytes)]
        return b"".join(pieces).decode("utf-8", errors="replace")


class _Filled:
    """A guide of some rows for a batch of more; the others have ended from the start."""

    def __init__(self, guide: Guide, spare: int) -> None:
        self._guide, self._spare = guide, spare

    def allowed(self) -> np.ndarray:
        allowed_BW = self._guide.allowed()
        return np.concatenate([allowed_BW, allowed_BW[:1].repeat(self._spare, 0)])

    def take(self, tokens_B: np.ndarray) -> np.ndarray:
        rows = len(tokens_B) - self._spare
        return np.concatenate([self._guide.take(tokens_B[:rows]), np.ones(self._spare, bool)])


def load_writer(path: str, *, which: str = "best", rows: int = 8, dtype: str = "") -> DecoderWriter:
    """Loads a work folder or a model directory; see `launch.loading.load_model`."""
    loaded = load_model(path, which=which, silent=True, dtype=dtype)
    model = loaded.model
    return DecoderWriter(
        model.config,
        model.params,
        model.tokenizer,
        label=loaded.name,
        rows=rows,
        end_tokens=generation_ends(path),
    )


def generation_ends(path: str) -> tuple[int, ...]:
    """The tokens that end an answer by ``generation_config.json``; none without that file.

    Chat models often end a turn with another token than the tokenizer's ``eos_token``.

    Raises:
      UserError: the file cannot be read.
    """
    file = pathlib.Path(path) / "generation_config.json"
    if not file.exists():
        return ()
    ends = read_json(file).get("eos_token_id")
    found = ends if isinstance(ends, list) else [] if ends is None else [ends]
    if not all(isinstance(end, int) and end >= 0 for end in found):
        raise UserError(
            f"{file}: eos_token_id is {ends!r}; it must be a token id or a list of them"
        )
    return tuple(found)


def fingerprint(params: Params) -> str:
    """Ten hex digits that tell weights apart: names, shapes and a sample of every array."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        flat = leaf.reshape(-1)
        sample = np.asarray(flat[:: max(1, flat.size // 512)][:512], np.float32)
        digest.update(f"{jax.tree_util.keystr(path)}{leaf.shape}{leaf.dtype}".encode())
        digest.update(sample.tobytes())
    return digest.hexdigest()[:10]
