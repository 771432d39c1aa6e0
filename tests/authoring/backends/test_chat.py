"""The chat back end against a server that fails in every way that servers are known to fail in."""

import dataclasses
import datetime
import json
import os
import pathlib
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from ppt_jax.authoring.backends.budgets import Budget, Ledger, Prices
from ppt_jax.authoring.backends.chat import ChatBackend, ChatConfig
from ppt_jax.authoring.backends.dispatch import Clock
from ppt_jax.authoring.backends.journal import Journal
from ppt_jax.authoring.backends.openai_sdk import OpenAIServer
from ppt_jax.authoring.backends.pacing import AdaptiveLimit, RetryPolicy, retry_after
from ppt_jax.authoring.backends.protocol import BudgetReached, Message, Request, Response
from ppt_jax.errors import UserError
from tests.authoring.backends.stub_server import Stub, answer, client, completion, error, serving

SCHEMA = {
    "type": "object",
    "properties": {"mood": {"type": "string"}},
    "required": ["mood"],
    "additionalProperties": False,
}
FAST = RetryPolicy(attempts=4, first=1.0, longest=8.0)


class SkippingClock(Clock):
    """Time that jumps over waits in which nothing is under way."""

    def __init__(self) -> None:
        self.time = 0.0
        self.waits: list[float] = []

    def now(self) -> float:
        return self.time

    def wait(self, events: queue.SimpleQueue, seconds: float, idle: bool) -> Any:
        if not idle:
            return events.get(timeout=60)
        if not events.empty():
            return events.get()
        self.waits.append(seconds)
        self.time += seconds
        return None


def ask(text: str = "Hello", **fields) -> Request:
    return Request((Message("user", text),), "m", **({"max_tokens": 50} | fields))


def backend(stub: Stub, journal: Journal | None = None, **fields) -> ChatBackend:
    timeout = fields.pop("timeout", 5.0)
    config = {"concurrency": 1, "retries": FAST, "schema_mode": "json_schema"}
    kept = {name: fields.pop(name) for name in ("clock", "ledger") if name in fields}
    config["most_concurrency"] = fields.get("concurrency", 1)
    config = ChatConfig(**(config | {"timeout": timeout} | fields))
    kept.setdefault("clock", SkippingClock())
    return ChatBackend(client(stub.url, timeout), config, journal=journal, seed=0, **kept)


def heard(responses: Iterator[Response], kind: type[UserError]) -> tuple[list[Response], Any]:
    """What was yielded before an error, and the error."""
    found: list[Response] = []
    try:
        for response in responses:
            found.append(response)
    except kind as stopped:
        return found, stopped
    raise AssertionError("nothing stopped it")


def only(stub: Stub, request: Request, **fields):
    responses = list(backend(stub, **fields).generate([request]))
    assert [response.key for response in responses] == [request.key]
    return responses[0]


def test_an_answer_is_read_and_the_request_is_sent_as_asked() -> None:
    request = ask(stop=("END",), seed=4, temperature=0.3, options={"top_p": 0.9, "model": "x"})
    with serving([answer(completion("fine END of it", usage=(12, 34)))]) as stub:
        found = only(stub, request)
    assert (found.text, found.finish_reason, found.error) == ("fine ", "stop", "")
    assert (found.prompt_tokens, found.completion_tokens, found.estimated) == (12, 34, False)
    assert found.raw["id"] == "c1"
    assert stub.bodies[0] == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hello"}],
        "temperature": 0.3,
        "max_tokens": 50,
        "stop": ["END"],
        "seed": 4,
        "top_p": 0.9,
    }


@pytest.mark.parametrize(
    ("told", "reason", "text", "words"),
    [
        (completion("cut o", "length"), "length", "cut o", "max_tokens=50"),
        (completion(None, refusal="I will not."), "refusal", "I will not.", "refused"),
        (completion("half", "content_filter"), "refusal", "half", "filter"),
        (completion("", "stop"), "error", "", "without text"),
        (completion(None, "tool_calls"), "error", "", "tool_calls"),
        ({"choices": [], "usage": {}}, "error", "", "without a choice"),
        ({"choices": None}, "error", "", "without a choice"),
        ({"id": 1}, "error", "", "without a choice"),
        ({"choices": [{"message": "x"}]}, "error", "", "without a choice"),
        (completion([{"type": "text", "text": "a"}, {"text": "b"}]), "stop", "ab", ""),
        (completion('{"mood": 3}'), "stop", '{"mood": 3}', ""),
        (completion('{"mood": "gl'), "stop", '{"mood": "gl', ""),
    ],
)
def test_useless_answers_are_content_and_not_asked_again(
    tmp_path: pathlib.Path, told, reason: str, text: str, words: str
) -> None:
    request = ask(schema=SCHEMA)
    with serving([answer(told)]) as stub, Journal(tmp_path / "j.jsonl") as journal:
        found = only(stub, request, journal=journal)
        again = only(stub, request, journal=journal)
    assert (found.finish_reason, found.text) == (reason, text)
    assert words in found.error
    assert again == dataclasses.replace(found, cached=True)
    assert len(stub.bodies) == 1


@pytest.mark.parametrize("usage", [None, (-1, 5), ("a", 5), (True, 5), (1 << 50, 5)])
def test_missing_or_absurd_usage_is_estimated(usage) -> None:
    with serving([answer(completion("twelve bytes", usage=usage))]) as stub:
        found = only(stub, ask("x" * 300))
    assert found.estimated
    assert 90 <= found.prompt_tokens <= 120
    assert found.completion_tokens == (4 if usage is None else 5)


@pytest.mark.parametrize(
    "fault",
    [
        error(429),
        error(500),
        error(502),
        error(503),
        error(408),
        error(409),
        answer(b"<html>bad gateway</html>", 502),
        answer({}, drop=True),
        answer(cut=20),
        answer(b'{"choices": [{"mess'),
        answer(b"[1, 2]"),
        answer(b"[" * 100_000),
        answer({"error": {"message": "worker died"}}),
    ],
    ids=str,
)
def test_passing_faults_are_repeated_until_answered(fault: dict) -> None:
    with serving([fault, fault]) as stub:
        found = only(stub, ask())
    assert found.text == "fine"
    assert len(stub.bodies) == 3
    assert stub.bodies[0] == stub.bodies[2]


@pytest.mark.parametrize("fault", [answer({}, hang=True), answer(drip=0.02)], ids=["hang", "drip"])
def test_servers_that_do_not_come_to_an_end_are_timed_out(fault: dict) -> None:
    with serving([fault]) as stub:
        found = only(stub, ask(), timeout=0.25, retries=RetryPolicy(attempts=50, first=0))
    assert found.text == "fine"
    assert len(stub.bodies) >= 2  # a busy machine may take the limit for its own


def test_waits_grow_and_honour_the_server() -> None:
    script = [
        error(429, headers={"retry-after": "30"}),
        error(503, headers={"retry-after-ms": "2500"}),
        error(500),
    ]
    clock = SkippingClock()
    with serving(script) as stub:
        assert only(stub, ask(), clock=clock).text == "fine"
    first, second, third = clock.waits
    assert 30 <= first <= 31
    assert 2.5 <= second <= 3.5
    assert 0 <= third <= 4


def test_too_long_a_wait_ends_the_run() -> None:
    with (
        serving([error(429, headers={"retry-after": "90000"})]) as stub,
        pytest.raises(UserError, match="asks to wait 90000 s"),
    ):
        only(stub, ask())
    assert len(stub.bodies) == 1


def test_attempts_are_capped_and_the_failure_is_asked_again_next_time(
    tmp_path: pathlib.Path,
) -> None:
    with serving([error(500, "boom")] * 4) as stub, Journal(tmp_path / "j.jsonl") as journal:
        found = only(stub, ask(), journal=journal)
        assert (found.finish_reason, found.text) == ("error", "")
        assert "after 4 attempts" in found.error
        assert "boom" in found.error
        assert len(stub.bodies) == 4
        assert only(stub, ask(), journal=journal).text == "fine"


def test_a_server_that_is_down_ends_the_run() -> None:
    with (
        serving([error(500)] * 1000) as stub,
        pytest.raises(UserError, match="5 requests in a row"),
    ):
        list(backend(stub, concurrency=4).generate([ask(str(n)) for n in range(50)]))
    assert len(stub.bodies) < 4 * (5 + 2 * 4)  # not a try of everything
    with pytest.raises(UserError, match="is the server running"):
        list(backend(Stub(url="http://127.0.0.1:9/v1")).generate([ask()]))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (error(401, "bad key"), "bad key; check the API key"),
        (error(403), "check the API key"),
        (error(404, "no model m"), "no model m; check the model's name"),
        (error(402, "pay"), "pay"),
        (error(429, "quota", code="insufficient_quota"), "quota"),
    ],
)
def test_what_no_repeat_can_help_ends_the_run_at_once(fault: dict, words: str) -> None:
    with serving([fault]) as stub, pytest.raises(UserError, match=words):
        list(backend(stub).generate([ask(), ask("other")]))
    assert len(stub.bodies) == 1


def test_refused_requests_fail_alone() -> None:
    with serving([error(400, "context is too long"), error(422)]) as stub:
        found = list(backend(stub).generate([ask("a"), ask("b"), ask("c")]))
    assert [response.finish_reason for response in found] == ["error", "error", "stop"]
    assert "context is too long" in found[0].error
    assert len(stub.bodies) == 3


def test_newer_name_of_the_token_limit() -> None:
    words = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    with serving([error(400, words)]) as stub:
        found = list(backend(stub).generate([ask("a"), ask("b")]))
    assert [response.text for response in found] == ["fine", "fine"]
    assert ["max_completion_tokens" in body for body in stub.bodies] == [False, True, True]


def test_concurrency_is_halved_once_for_one_overload_and_creeps_up() -> None:
    wave = threading.Barrier(8, timeout=60)

    def script(body: dict) -> dict:
        if len(stub.bodies) <= 8:
            wave.wait()  # all eight are under way, and all are refused
            stub.peak = 0
            return error(429)
        return answer(after=0.005)

    with serving(script) as stub:
        one = backend(stub, concurrency=8)
        assert len(list(one.generate([ask(str(n)) for n in range(20)]))) == 20
        assert len(stub.bodies) == 28
        assert stub.peak <= 7  # 4, and one more after 4, 5 and 6 answers
        assert one.concurrency in (6, 7)


def test_limit_of_concurrency() -> None:
    limit = AdaptiveLimit(16, 17)
    for sent in (1.0, 1.1, 1.2):
        limit.refused(sent, now=2.0)
    assert limit.allowed == 8  # one overload, one cut
    limit.refused(sent=2.5, now=3.0)
    assert limit.allowed == 4
    for _ in range(5):
        limit.answered()
    assert limit.allowed == 5
    for _ in range(500):
        limit.answered()
    assert limit.allowed == 17
    for now in range(10, 20):
        limit.refused(now, now)
    assert limit.allowed == 1
    with pytest.raises(UserError, match="concurrency=0"):
        AdaptiveLimit(0)


def test_retry_after_in_all_its_forms() -> None:
    now = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC)
    forms = {
        "5": 5.0,
        "0.5": 0.5,
        "Thu, 01 Jan 2026 12:00:09 GMT": 9.0,
        "Thu, 01 Jan 2026 11:00:00 GMT": 0.0,
        "soon": None,
        "-3": None,
        "nan": None,
        "inf": None,
    }
    for text, seconds in forms.items():
        assert retry_after({"retry-after": text}, now) == seconds, text
    assert retry_after({"retry-after": "5", "retry-after-ms": "20"}) == 0.02
    assert retry_after({}) is None


def test_equal_requests_are_one(tmp_path: pathlib.Path) -> None:
    with serving() as stub:
        found = list(backend(stub).generate([ask(), ask(purpose="x"), ask(sample=1)]))
    assert len(found) == len(stub.bodies) == 2


# ----------------------------------------------------------------------------------- schemas


def obeying(*modes: str, refuse: dict | None = None, text: str = "The sea is wide."):
    """A server that enforces a schema in some ways, and fails or ignores in the others."""

    def mode_of(body: dict) -> tuple[str, dict]:
        form = body.get("response_format", {})
        if form.get("type") == "json_schema":
            return "json_schema", form["json_schema"]["schema"]
        if form.get("type") == "json_object":
            return "json_object", form["schema"]
        if "structured_outputs" in body:
            return "structured_outputs", body["structured_outputs"]["json"]
        return ("format", body["format"]) if "format" in body else ("prompt", {})

    def script(body: dict) -> dict:
        mode, schema = mode_of(body)
        seen.append(mode)
        if mode in modes:
            name, part = next(iter(schema["properties"].items()))
            return answer(completion(json.dumps({name: part.get("enum", ["calm"])[0]})))
        return refuse if refuse and mode != "prompt" else answer(completion(text))

    seen: list[str] = []
    script.seen = seen  # type: ignore[attr-defined]
    return script


@pytest.mark.parametrize("mode", ["json_schema", "json_object", "structured_outputs", "format"])
@pytest.mark.parametrize("refuse", [None, error(400), error(500)], ids=["ignores", "400", "500"])
def test_probe_finds_the_way_that_is_enforced(tmp_path: pathlib.Path, mode, refuse) -> None:
    script = obeying(mode, refuse=refuse)
    with serving(script) as stub, Journal(tmp_path / "j.jsonl") as journal:
        one = backend(stub, journal, schema_mode="auto")
        found = list(one.generate([ask(schema=SCHEMA), ask("b", schema=SCHEMA), ask("c")]))
        notes = journal.notes("probe")
    assert [json.loads(r.text) for r in found[:2]] == [{"mood": "calm"}] * 2
    assert [r.enforced for r in found] == [mode, mode, ""]
    assert script.seen[-3:] == [mode, mode, "prompt"]
    assert notes[0]["mode"] == mode
    assert notes[0]["seen"][mode] == "enforced"
    for text in (body["messages"][-1]["content"] for body in stub.bodies[:-3]):
        assert "schema" not in text  # a probe that told the schema would prove nothing
    assert all('"mood"' in text for text in stub.texts()[-3:-1])


def test_probe_does_not_trust_a_plain_200() -> None:
    with serving(obeying()) as stub:
        one = backend(stub, schema_mode="auto")
        found = list(one.generate([ask(schema=SCHEMA)]))
        assert found[0].enforced == "prompt"
        assert "response_format" not in stub.bodies[-1]
        seen = one.capability("m").seen
    assert set(seen) == {"json_schema", "json_object", "structured_outputs", "format"}
    assert all("not enforced" in verdict for verdict in seen.values())


def test_probe_is_not_made_where_the_journal_knows_all(tmp_path: pathlib.Path) -> None:
    with Journal(tmp_path / "j.jsonl") as journal:
        with serving(obeying("json_schema")) as stub:
            list(backend(stub, journal, schema_mode="auto").generate([ask(schema=SCHEMA)]))
            sent = len(stub.bodies)
            list(backend(stub, journal, schema_mode="auto").generate([ask(schema=SCHEMA)]))
        assert len(stub.bodies) == sent == 2


def test_probe_on_a_broken_server_says_so() -> None:
    with serving([error(503, "loading")] * 99) as stub, pytest.raises(UserError, match="loading"):
        list(backend(stub, schema_mode="auto").generate([ask(schema=SCHEMA)]))


def test_a_schema_that_breaks_the_server_steps_down_after_one_repeat() -> None:
    script = obeying(refuse=error(500), text='{"mood": "odd"}')
    with serving(script) as stub:
        one = backend(stub)
        first = list(one.generate([ask(schema=SCHEMA)]))
        assert first[0].text == '{"mood": "odd"}'
        assert first[0].enforced == "prompt"
        steps = ["json_schema", "json_object", "structured_outputs", "format"]
        assert script.seen == [step for step in steps for _ in range(2)] + ["prompt"]
        list(one.generate([ask("again", schema=SCHEMA)]))
        assert script.seen[9:] == ["prompt"]  # learnt
        other = {**SCHEMA, "title": "another"}
        list(one.generate([ask("again", schema=other)]))
        assert script.seen[10] == "json_schema"  # for this schema only


def test_one_lone_500_does_not_step_down() -> None:
    with serving([error(500), answer(completion('{"mood": "calm"}'))]) as stub:
        found = list(backend(stub).generate([ask(schema=SCHEMA)]))
    assert found[0].enforced == "json_schema"
    assert stub.bodies[0] == stub.bodies[1]


# ------------------------------------------------------------------------- budgets and resume


def test_budgets_stop_cleanly_and_resume(tmp_path: pathlib.Path) -> None:
    requests = [ask(str(n)) for n in range(10)]
    prices = {"*": Prices(prompt=100_000, completion=200_000)}  # 10 and 5 tokens: 2 an answer
    cases = [
        (Budget(max_requests=3), 3),
        (Budget(max_tokens=5 * 15 + 58), 5),
        (Budget(max_cost=4 * 2 + 10.5), 4),
    ]
    for at, (budget, answered) in enumerate(cases):
        path = tmp_path / f"{at}.jsonl"
        with serving() as stub:
            for _ in range(2):  # the second run has nothing left
                with Journal(path) as journal:
                    ledger = Ledger(budget, prices, journal)
                    one = backend(stub, journal, ledger=ledger, concurrency=4)
                    found, stopped = heard(one.generate(requests), BudgetReached)
                name = next(f.name for f in dataclasses.fields(budget) if getattr(budget, f.name))
                assert stopped.budget == name
                assert len(stub.bodies) == answered <= len(found)
            with Journal(path) as journal:
                one = backend(stub, journal)
                assert len(list(one.generate(requests))) == 10
            assert len(stub.bodies) == 10
            assert len(set(stub.texts())) == 10


def test_time_budget() -> None:
    clock = SkippingClock()
    script = [answer(), error(429, headers={"retry-after": "100"})]
    with serving(script) as stub:
        ledger = Ledger(Budget(max_seconds=50), clock=clock.now)
        one = backend(stub, ledger=ledger, clock=clock)
        found, stopped = heard(one.generate([ask("a"), ask("b")]), BudgetReached)
    assert "max_seconds=50" in str(stopped)
    assert len(found) == 1
    assert 50 <= clock.time < 60


def test_accounts_by_purpose(tmp_path: pathlib.Path) -> None:
    requests = [ask(str(n), purpose="tell" if n % 2 else "imagine") for n in range(5)]
    with serving() as stub, Journal(tmp_path / "j.jsonl") as journal:
        list(backend(stub, journal).generate(requests[:2]))
        ledger = Ledger(prices={"m": Prices(1, 2)}, journal=journal)
        list(backend(stub, journal, ledger=ledger).generate(requests))
    rows = {row.purpose: row for row in ledger.expenses()}
    assert (rows["imagine"].totals.requests, rows["imagine"].cached) == (3, 1)
    assert (rows["tell"].totals.prompt_tokens, rows["tell"].cached) == (20, 1)
    assert ledger.cost() == pytest.approx((50 * 1 + 25 * 2) / 1e6)


def test_stopping_early_keeps_what_is_under_way(tmp_path: pathlib.Path) -> None:
    with serving(lambda body: answer(after=0.05)) as stub, Journal(tmp_path / "j") as journal:
        one = backend(stub, journal, concurrency=4)
        for _ in one.generate([ask(str(n)) for n in range(50)]):
            break
        assert len(stub.bodies) == len(journal) < 20


CHILD = """
import sys
from ppt_jax.authoring.backends.chat import ChatBackend, ChatConfig
from ppt_jax.authoring.backends.journal import Journal
from ppt_jax.authoring.backends.openai_sdk import OpenAIServer
from ppt_jax.authoring.backends.protocol import Message, Request
server = OpenAIServer(sys.argv[1], api_key_env="", timeout=5)
requests = [Request((Message("user", str(n)),), "m") for n in range(40)]
with Journal(sys.argv[2]) as journal:
    config = ChatConfig(concurrency=3, most_concurrency=3)
    for response in ChatBackend(server, config, journal=journal).generate(requests):
        print(response.text, flush=True)
"""


def test_killed_in_the_middle_and_resumed_without_paying_twice(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "j.jsonl"
    root = pathlib.Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    with serving(lambda body: answer(after=0.01)) as stub:
        command = [sys.executable, "-c", CHILD, stub.url, str(path)]
        child = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
        assert child.stdout is not None
        for _ in range(10):
            child.stdout.readline()
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        with Journal(path, readonly=True) as journal:
            kept = len(journal)
        sent = len(stub.bodies)
        assert 10 <= kept < 40
        assert sent <= kept + 3  # at most what was under way is lost
        requests = [Request((Message("user", str(n)),), "m") for n in range(40)]
        with Journal(path) as journal:
            found = list(backend(stub, journal, concurrency=3).generate(requests))
        assert sorted(response.key for response in found) == sorted(r.key for r in requests)
        assert len(stub.bodies) == sent + 40 - kept


def test_keys_are_written_nowhere(tmp_path: pathlib.Path, monkeypatch, capfd) -> None:
    key = "sk-very-secret-0123456789"
    monkeypatch.setenv("MY_KEY", key)
    monkeypatch.setenv("OPENAI_LOG", "info")
    script = [answer(completion(f"you sent {key}")), error(400, f"bad {key}"), error(401, key)]
    with serving(script) as stub, Journal(tmp_path / "j.jsonl", secrets=(key,)) as journal:
        server = OpenAIServer(stub.url, api_key_env="MY_KEY", timeout=5)
        assert server.secrets == (key,)
        one = ChatBackend(server, ChatConfig(concurrency=1), journal=journal)
        found, stopped = heard(one.generate([ask("a"), ask("b"), ask("c"), ask("d")]), UserError)
    assert stub.headers[0]["authorization"] == f"Bearer {key}"
    assert len(found) == 2
    shown = "".join(capfd.readouterr())
    written = "".join(file.read_text() for file in tmp_path.rglob("*") if file.is_file())
    assert "[key]" in written
    for text in (written, shown, str(stopped), one.name, repr(one), found[1].error):
        assert key not in text


def test_openai_key_is_not_sent_to_others(monkeypatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret-0123456789")
    with serving() as stub:
        list(backend(stub).generate([ask()]))
    assert "secret" not in str(stub.headers)
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(UserError, match="export OPENAI_API_KEY"):
        OpenAIServer("https://api.openai.com/v1", api_key_env="", timeout=5)
    with pytest.raises(UserError, match="export MINE"):
        OpenAIServer("http://127.0.0.1:1/v1", api_key_env="MINE", timeout=5)
    with pytest.raises(UserError, match="must be an address"):
        OpenAIServer("localhost:8000", api_key_env="", timeout=5)


def test_bad_settings() -> None:
    with pytest.raises(UserError, match="schema_mode='guess'"):
        ChatConfig(schema_mode="guess")
    with pytest.raises(UserError, match="max_cost=3 needs prices"):
        Ledger(Budget(max_cost=3))
    with pytest.raises(UserError, match="max_tokens=-1"):
        Budget(max_tokens=-1)
    with pytest.raises(UserError, match="prices of model 'm'"):
        Ledger(Budget(max_cost=3), {"other": Prices(1, 1)}).price("m")
    assert dataclasses.asdict(Budget())["max_seconds"] is None
