r"""Puts one question to a language-model back end: does it answer, and what does it enforce?

A server of the OpenAI form, with what it makes of JSON schemas:

  python -m launch.ask --base_url=http://127.0.0.1:8000/v1 --model=NAME \
      --prompt="How is the sea?" --schema=schema.json

A model of ours or a directory in the Hugging Face layout, in this process:

  python -m launch.ask --local=runs/mine --prompt="How is the sea?" --schema=schema.json

What the requests in a journal took, by stage and model:

  python -m launch.ask --journal=runs/mine/answers.jsonl --price_read=0.5 --price_written=2

Back ends, journal and budgets are explained in docs/llm_backends.md.
"""

from __future__ import annotations

import json
import pathlib
from typing import Any

from absl import flags

from launch import entry
from ppt_jax.errors import UserError

BASE_URL = flags.DEFINE_string("base_url", None, "Server, up to and including the version.")
API_KEY_ENV = flags.DEFINE_string("api_key_env", "", "Environment variable that holds the key.")
MODEL = flags.DEFINE_string("model", None, "Name of the model, as the server knows it.")
LOCAL = flags.DEFINE_string("local", None, "Work folder or model directory, to run it here.")
WHICH = flags.DEFINE_enum("which", "best", ["best", "last", "lm"], "Checkpoint of a work folder.")
PROMPT = flags.DEFINE_string("prompt", None, "The question.")
SCHEMA = flags.DEFINE_string("schema", None, "File with the JSON schema of the answer.")
SCHEMA_MODE = flags.DEFINE_string("schema_mode", "auto", "auto probes; see docs/llm_backends.md.")
MAX_TOKENS = flags.DEFINE_integer("max_tokens", 512, "Tokens of the answer at most.")
TEMPERATURE = flags.DEFINE_float("temperature", 1.0, "Of sampling; 0 is greedy.")
SAMPLE = flags.DEFINE_integer("sample", 0, "A new number asks the same words anew.")
TIMEOUT = flags.DEFINE_float("timeout", 300.0, "Seconds for one answer.")
JOURNAL = flags.DEFINE_string("journal", None, "File that keeps requests and answers.")
PRICE_READ = flags.DEFINE_float("price_read", 0.0, "Money for a million tokens read.")
PRICE_WRITTEN = flags.DEFINE_float("price_written", 0.0, "Money for a million tokens written.")


def main() -> None:
    """Asks, or adds up a journal."""
    from ppt_jax.authoring.backends.budgets import Ledger, Prices, expense_table
    from ppt_jax.authoring.backends.journal import Journal

    prices = {"*": Prices(PRICE_READ.value, PRICE_WRITTEN.value)}
    if PROMPT.value is None:
        if JOURNAL.value is None:
            raise UserError("--prompt=TEXT is missing, or --journal=FILE to add up what was asked")
        journal = Journal(JOURNAL.value, readonly=True)
        print(expense_table(Ledger(prices=prices, journal=journal).expenses()))
        return
    if (BASE_URL.value is None) == (LOCAL.value is None):
        raise UserError("name who answers: --base_url=http://.../v1 or --local=DIR")
    schema = _schema(SCHEMA.value) if SCHEMA.value else None
    if LOCAL.value is not None:
        _ask_local(LOCAL.value, schema, prices)
    else:
        _ask_server(BASE_URL.value or "", schema, prices)


def _schema(name: str) -> dict[str, Any]:
    from ppt_jax.authoring.backends.json_answers import check_schema

    path = pathlib.Path(name)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"--schema={path}: cannot read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"--schema={path}: is no JSON ({error})") from error
    check_schema(found, str(path))
    return found


def _ask_server(base_url: str, schema: dict[str, Any] | None, prices: Any) -> None:
    from ppt_jax.authoring.backends.budgets import Ledger
    from ppt_jax.authoring.backends.chat import ChatBackend, ChatConfig
    from ppt_jax.authoring.backends.openai_sdk import OpenAIServer

    if MODEL.value is None:
        raise UserError("--model=NAME is missing: the model, as the server knows it")
    server = OpenAIServer(base_url, api_key_env=API_KEY_ENV.value, timeout=TIMEOUT.value)
    journal = _journal(server.secrets)
    try:
        ledger = Ledger(prices=prices, journal=journal)
        config = ChatConfig(schema_mode=SCHEMA_MODE.value, timeout=TIMEOUT.value)
        backend = ChatBackend(server, config, journal=journal, ledger=ledger)
        if schema is not None:
            found = backend.capability(MODEL.value)
            for mode, verdict in found.seen.items():
                print(f"{mode}: {verdict}")
            print(f"schemas are asked for by: {found.mode}")
        _show(backend, MODEL.value, schema, ledger)
    finally:
        if journal is not None:
            journal.close()


def _ask_local(path: str, schema: dict[str, Any] | None, prices: Any) -> None:
    from launch.local_writer import load_writer
    from ppt_jax.authoring.backends.budgets import Ledger
    from ppt_jax.authoring.backends.local import LocalBackend

    writer = load_writer(path, which=WHICH.value, rows=1)
    journal = _journal(())
    try:
        ledger = Ledger(prices=prices, journal=journal)
        backend = LocalBackend(writer, journal=journal, ledger=ledger)
        _show(backend, writer.name, schema, ledger)
    finally:
        if journal is not None:
            journal.close()


def _journal(secrets: tuple[str, ...]) -> Any:
    from ppt_jax.authoring.backends.journal import Journal

    return Journal(JOURNAL.value, secrets=secrets) if JOURNAL.value else None


def _show(backend: Any, model: str, schema: dict[str, Any] | None, ledger: Any) -> None:
    from ppt_jax.authoring.backends.budgets import expense_table
    from ppt_jax.authoring.backends.json_answers import NotJson, json_object, violations
    from ppt_jax.authoring.backends.protocol import Message, Request

    request = Request(
        (Message("user", PROMPT.value or ""),),
        model,
        schema,
        temperature=TEMPERATURE.value,
        max_tokens=MAX_TOKENS.value,
        sample=SAMPLE.value,
        purpose="ask",
    )
    for response in backend.generate([request]):
        kept = ", from the journal" if response.cached else ""
        print(f"\n{response.text}\n\n{response.finish_reason}{kept} in {response.seconds:.2f} s")
        if response.error:
            print(response.error)
        if schema is not None:
            try:
                wrong = violations(json_object(response.text), schema)
            except NotJson as error:
                wrong = [str(error)]
            print(f"schema ({response.enforced}): {'; '.join(wrong) or 'kept'}")
    print("\n" + expense_table(ledger.expenses()))


if __name__ == "__main__":
    entry.run_alone(main)
