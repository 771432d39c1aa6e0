"""The author stage with a language model: the back end of a recipe, its journal, the accounts."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import ml_collections

from launch.entry import nearest
from launch.settings import build
from ppt_jax.authoring.backends.budgets import Budget, Ledger, Prices, expense_table
from ppt_jax.authoring.backends.journal import Journal
from ppt_jax.authoring.backends.protocol import Backend
from ppt_jax.authoring.llm.config import STAGES, LLMAuthorConfig
from ppt_jax.errors import UserError

if TYPE_CHECKING:
    from ppt_jax.authoring.backends.local import Writer

KINDS = ("openai", "batch", "local", "replay", "offline")
CHECKPOINTS, DTYPES = ("best", "last", "lm"), ("bfloat16", "float32")
UNNAMED = ("", "default")  # what a recipe says of a model that it does not name


@dataclasses.dataclass(frozen=True)
class BackendSettings:
    """Who answers an LLM author, and what that may cost.

    Attributes:
      kind: ``openai`` (any server of that form), ``batch`` (its batch files), ``local`` (a model in
        this process, on JAX), ``replay`` (a journal and nothing else) or ``offline`` (the motifs of
        the offline author play the model).
      base_url: of the server, up to and including the version.
      api_key_env: environment variable that holds the key; the key is written nowhere.
      journal: file of all requests and answers; empty for ``answers.jsonl`` in the work folder.
      max_requests, max_tokens, max_cost, max_seconds: budgets; 0 for no limit.
      prices: money for a million tokens read and written, by model; ``"*"`` for any other.
      concurrency, most_concurrency: requests at once, at the beginning and at most.
      timeout: seconds for one answer.
      schema_mode: how a schema is asked for; ``auto`` probes the server.
      poll: seconds between looks at a batch.
      path: of ``local``: a work folder with a trained model, or a directory in the Hugging Face
        layout.
      which: checkpoint of a work folder: ``best``, ``last`` or ``lm``.
      rows: answers that ``local`` writes at once.
      dtype: weights and arithmetic of ``local``: ``bfloat16`` or ``float32``.
      flaws: rates of flaws of ``offline`` answers, see `ppt_jax.authoring.llm.offline.FLAWS`.
    """

    kind: str = "openai"
    base_url: str = "http://127.0.0.1:8000/v1"
    api_key_env: str = ""
    journal: str = ""
    max_requests: int = 0
    max_tokens: int = 0
    max_cost: float = 0.0
    max_seconds: float = 0.0
    prices: Mapping[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    concurrency: int = 8
    most_concurrency: int = 64
    timeout: float = 300.0
    schema_mode: str = "auto"
    poll: float = 60.0
    path: str = ""
    which: str = "best"
    rows: int = 8
    dtype: str = "bfloat16"
    flaws: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UserError(f"backend.kind: {self.kind!r}; {nearest(self.kind, KINDS)}")
        if self.kind == "local" and not self.path:
            raise UserError(
                "backend.path is empty: kind 'local' needs a work folder or a model directory "
                "(config.json, safetensors, tokenizer)"
            )
        if self.path and self.kind != "local":
            raise UserError(
                f"backend.path={self.path!r} is for kind 'local'; backend.kind is {self.kind!r}"
            )
        for field, known in (("which", CHECKPOINTS), ("dtype", DTYPES)):
            if getattr(self, field) not in known:
                raise UserError(
                    f"backend.{field}: {getattr(self, field)!r} is none of {', '.join(known)}"
                )
        if self.rows < 1:
            raise UserError(f"backend.rows: {self.rows} is below 1")

    def budget(self) -> Budget:
        """The limits; 0 is none."""
        return Budget(
            max_requests=self.max_requests or None,
            max_tokens=self.max_tokens or None,
            max_cost=self.max_cost or None,
            max_seconds=self.max_seconds or None,
        )

    def price_list(self) -> dict[str, Prices]:
        """The prices by model.

        Raises:
          UserError: an entry is no pair of numbers.
        """
        found = {}
        for model, pair in self.prices.items():
            if len(pair) != 2:
                raise UserError(f"backend.prices.{model}: {pair}; two numbers, read and written")
            found[model] = Prices(*(float(price) for price in pair))
        return found


def backend_settings(config: ml_collections.ConfigDict) -> BackendSettings:
    """The recipe's section ``backend``.

    Raises:
      UserError: it is missing or a field is wrong.
    """
    if "backend" not in config:
        raise UserError("config: section 'backend' is missing; see configs/llm_author.py")
    return build(BackendSettings, config.backend.to_dict(), "backend")


@contextlib.contextmanager
def open_backend(
    settings: BackendSettings, workdir: pathlib.Path
) -> Iterator[tuple[Backend, Ledger]]:
    """Opens the journal and the back end; the journal is closed again whatever happens.

    Args:
      settings: who answers.
      workdir: where the journal stands, unless it is named.
    """
    from ppt_jax.authoring.backends.batch import BatchBackend, BatchConfig
    from ppt_jax.authoring.backends.chat import ChatBackend, ChatConfig
    from ppt_jax.authoring.backends.local import LocalBackend
    from ppt_jax.authoring.backends.offline import OfflineBackend
    from ppt_jax.authoring.backends.openai_sdk import OpenAIServer
    from ppt_jax.authoring.backends.replay import ReplayBackend
    from ppt_jax.authoring.llm.offline import OfflineAnswers

    path = pathlib.Path(settings.journal) if settings.journal else workdir / "answers.jsonl"
    server: Any = None
    if settings.kind in ("openai", "batch"):
        server = OpenAIServer(
            settings.base_url, api_key_env=settings.api_key_env, timeout=settings.timeout
        )
    replay = settings.kind == "replay"
    if replay and not path.exists():
        raise UserError(f"{path}: no such journal to replay; name one as backend.journal")
    writer = _writer(settings) if settings.kind == "local" else None
    secrets = server.secrets if server is not None else ()
    with Journal(path, secrets=secrets, readonly=replay) as journal:
        ledger = Ledger(settings.budget(), settings.price_list(), journal)
        backend: Backend
        if replay:
            backend = ReplayBackend(journal, ledger=ledger)
        elif writer is not None:
            backend = LocalBackend(writer, journal=journal, ledger=ledger)
        elif settings.kind == "offline":
            answers = OfflineAnswers(settings.flaws)
            backend = OfflineBackend(answers, journal=journal, ledger=ledger)
        elif settings.kind == "batch":
            mode = "json_schema" if settings.schema_mode == "auto" else settings.schema_mode
            batch = BatchConfig(schema_mode=mode, poll=settings.poll)
            backend = BatchBackend(server, journal, batch, ledger=ledger)
        else:
            chat = ChatConfig(
                schema_mode=settings.schema_mode,
                concurrency=settings.concurrency,
                most_concurrency=settings.most_concurrency,
                timeout=settings.timeout,
            )
            backend = ChatBackend(server, chat, journal=journal, ledger=ledger)
        yield backend, ledger


def _writer(settings: BackendSettings) -> Writer:
    from ppt_jax.authoring.backends.grammars import find_llguidance

    find_llguidance()  # said before the weights are read
    from launch.local_writer import load_writer

    return load_writer(
        settings.path, which=settings.which, rows=settings.rows, dtype=settings.dtype
    )


def named(author: LLMAuthorConfig, model: str) -> LLMAuthorConfig:
    """The settings with the one model that there is filled in.

    Args:
      author: what to write.
      model: name of the model.

    Raises:
      UserError: the settings name another model.
    """
    given = {"model": author.model}
    given |= {f"{stage}.model": getattr(author, stage).model for stage in STAGES}
    for field, name in given.items():
        if name not in (*UNNAMED, model):
            raise UserError(
                f"author.{field}: {name!r}; the local back end has one model, {model!r}, for all "
                "stages; leave the field empty"
            )
    stages = {stage: dataclasses.replace(getattr(author, stage), model="") for stage in STAGES}
    return dataclasses.replace(author, model=model, **stages)


def author_with_model(
    config: ml_collections.ConfigDict, author: LLMAuthorConfig, workdir: pathlib.Path
) -> dict[str, Any]:
    """Writes scenarios/, rejects/ and corpus.json, and prints what it took.

    Args:
      config: the recipe; its section ``backend`` says who answers.
      author: what to write.
      workdir: the work folder.

    Returns:
      The content of corpus.json.
    """
    from ppt_jax.authoring.backends.local import LocalBackend
    from ppt_jax.authoring.llm.author import author_with_llm, summary_lines

    with open_backend(backend_settings(config), workdir) as (backend, ledger):
        if isinstance(backend, LocalBackend):
            author = named(author, backend.model)
        kept: int | None = None
        try:
            summary = author_with_llm(author, backend, workdir)
            kept = sum(split["scenarios"] for split in summary["counts"].values())
            print(summary_lines(summary))
            return summary
        finally:  # what was spent is told, also when a budget or Ctrl-C ends the work
            if ledger.expenses():
                print(expense_table(ledger.expenses(), accepted=kept))
