"""Batch files against a server that keeps files, loses calls and lets batches expire."""

import json
import pathlib
import re
from collections.abc import Callable

import pytest

from ppt_jax.authoring.backends.batch import BatchBackend, BatchConfig
from ppt_jax.authoring.backends.budgets import Budget, Ledger
from ppt_jax.authoring.backends.journal import Journal
from ppt_jax.authoring.backends.protocol import BudgetReached, Message, Request, Response
from ppt_jax.errors import UserError
from tests.authoring.backends.stub_server import Stub, answer, client, completion, error, serving
from tests.authoring.backends.test_chat import SkippingClock, heard


class Desk(Stub):
    """Files and batches. ``work(line, batch)`` makes the result of one request line, or None."""

    def __init__(self, script=None) -> None:
        super().__init__(script)
        self.files: dict[str, bytes] = {}
        self.jobs: dict[str, dict] = {}
        self.faults: dict[str, list[dict]] = {}  # by start of "METHOD path"
        self.looks = 2  # looks until a batch ends
        self.status = "completed"
        self.work: Callable[[dict, str], dict | None] = lambda line, batch: result(line)

    def route(self, method: str, path: str, raw: bytes) -> dict:
        path = path.removeprefix("/v1").partition("?")[0]
        for start, faults in self.faults.items():
            if f"{method} {path}".startswith(start) and faults:
                fault = faults.pop(0)
                if fault.get("late"):  # done, and then the connection breaks
                    self.served(method, path, raw)
                return fault
        return self.served(method, path, raw)

    def served(self, method: str, path: str, raw: bytes) -> dict:
        if (method, path) == ("POST", "/files"):
            content = re.search(rb'filename="[^"]*\.jsonl".*?\r\n\r\n(.*?)\r\n--', raw, re.DOTALL)
            assert content is not None
            assert b"batch" in raw
            name = f"file-{len(self.files)}"
            self.files[name] = content.group(1)
            return answer({"id": name, "object": "file"})
        if (method, path) == ("POST", "/batches"):
            asked = json.loads(raw)
            assert asked["endpoint"] == "/v1/chat/completions"
            name = f"batch-{len(self.jobs)}"
            self.jobs[name] = {
                "id": name,
                "object": "batch",
                "status": "in_progress",
                "input_file_id": asked["input_file_id"],
                "metadata": asked["metadata"],
                "looks": 0,
            }
            return answer(self.jobs[name])
        if path == "/batches":
            data = list(reversed(self.jobs.values()))
            return answer({"object": "list", "data": data, "has_more": False})
        if path.startswith("/batches/"):
            return self.looked_at(path.removeprefix("/batches/"))
        name = path.removeprefix("/files/").removesuffix("/content")
        return answer(self.files[name]) if name in self.files else error(404)

    def looked_at(self, name: str) -> dict:
        job = self.jobs.get(name)
        if job is None:
            return error(404)
        job["looks"] += 1
        if job["status"] == "in_progress" and job["looks"] >= self.looks:
            job["status"] = self.status
            if self.status == "failed":
                job["errors"] = {"data": [{"message": "line 1 is not to my taste"}]}
                return answer(job)
            rows = [self.work(line, name) for line in self.lines(job)]
            for kind, good in (("output", True), ("error", False)):
                kept = [row for row in rows if row and is_good(row) == good]
                if kept:
                    job[f"{kind}_file_id"] = f"{name}-{kind}"
                    text = "\n".join(json.dumps(row) for row in kept)
                    self.files[f"{name}-{kind}"] = text.encode()
        return answer(job)

    def lines(self, job: dict) -> list[dict]:
        return [json.loads(line) for line in self.files[job["input_file_id"]].splitlines()]

    def sent(self) -> list[str]:
        """Keys of all requests in all batches."""
        return [line["custom_id"] for job in self.jobs.values() for line in self.lines(job)]


def is_good(row: dict) -> bool:
    return bool(row["response"]) and row["response"]["status_code"] == 200


def result(line: dict, status: int = 200, body: dict | None = None) -> dict:
    text = line["body"]["messages"][-1]["content"].upper()
    body = completion(text) if body is None else body
    return {
        "id": "r",
        "custom_id": line["custom_id"],
        "response": {"status_code": status, "body": body},
        "error": None,
    }


def asks(count: int, **fields) -> list[Request]:
    return [
        Request((Message("user", f"é {n}"),), **({"model": "m", "max_tokens": 50} | fields))
        for n in range(count)
    ]


def backend(stub: Desk, journal: Journal, **fields) -> BatchBackend:
    kept = {name: fields.pop(name) for name in ("ledger", "clock") if name in fields}
    kept.setdefault("clock", SkippingClock())
    return BatchBackend(client(stub.url), journal, BatchConfig(**fields), seed=0, **kept)


def texts(responses: list[Response]) -> list[str]:
    return sorted(response.text for response in responses)


@pytest.fixture
def journal(tmp_path: pathlib.Path):
    with Journal(tmp_path / "j.jsonl") as opened:
        yield opened


def test_answers_come_from_files_of_limited_size_one_model_each(journal: Journal) -> None:
    requests = asks(5, schema={"type": "object"}) + asks(2, model="other")
    clock = SkippingClock()
    with serving(kind=Desk) as stub:
        found = list(backend(stub, journal, most_requests=2, clock=clock).generate(requests))
        heads = [text.partition("\n")[0] for text in texts(found)]  # the schema's words follow
        assert heads == ["É 0", "É 0", "É 1", "É 1", "É 2", "É 3", "É 4"]
        assert sorted(r.key for r in found) == sorted(r.key for r in requests)
        sizes = [[line["body"]["model"] for line in stub.lines(job)] for job in stub.jobs.values()]
        assert sizes == [["m", "m"], ["m", "m"], ["m"], ["other", "other"]]
        form = stub.lines(stub.jobs["batch-0"])[0]["body"]["response_format"]
        assert form["type"] == "json_schema"
        assert {r.enforced for r in found} == {"json_schema", ""}
        assert clock.time >= 60
        again = list(backend(stub, journal).generate(requests))
        assert all(response.cached for response in again)
        assert len(stub.jobs) == 4
    with serving(kind=Desk) as stub:
        fresh = asks(4, sample=1)
        size = len(json.dumps({"custom_id": fresh[0].key})) + 300
        list(backend(stub, journal, most_bytes=2 * size).generate(fresh))
        assert all(len(stub.files[j["input_file_id"]]) <= 2 * size for j in stub.jobs.values())
        assert len(stub.jobs) == 2


def test_partial_results_are_kept_and_the_rest_asked_again(journal: Journal) -> None:
    def work(line: dict, batch: str) -> dict | None:
        number = int(line["body"]["messages"][0]["content"].split()[1])
        if number == 0:
            return result(line, 400, {"error": {"message": "too long"}})
        if number == 1:  # never answered
            return {"custom_id": line["custom_id"], "response": None, "error": {"code": "expired"}}
        if number == 2 and batch == "batch-0":
            return result(line, 500, {"error": "boom"})
        return None if number == 3 and batch == "batch-0" else result(line)

    with serving(kind=Desk) as stub:
        stub.work, stub.status = work, "expired"
        found = {r.text or r.error[:16]: r for r in backend(stub, journal).generate(asks(6))}
        assert set(found) == {"the server refus", "no answer after ", "É 2", "É 3", "É 4", "É 5"}
        assert "too long" in found["the server refus"].error
        assert "after 3 batches" in found["no answer after "].error
        assert "expired" in found["no answer after "].error
        assert [len(stub.lines(job)) for job in stub.jobs.values()] == [6, 3, 1]
        assert len(journal) == 4


def test_a_stopped_run_finds_its_batches_again(tmp_path: pathlib.Path) -> None:
    requests = asks(4)
    with serving(kind=Desk) as stub:
        stub.looks = 10
        with Journal(tmp_path / "j.jsonl") as journal:
            clock = SkippingClock()
            ledger = Ledger(Budget(max_seconds=100), journal=journal, clock=clock.now)
            one = backend(stub, journal, ledger=ledger, clock=clock)
            found, stopped = heard(one.generate(requests), BudgetReached)
            assert (found, stopped.budget) == ([], "max_seconds")
            assert 100 <= clock.time < 110
        stub.looks = 0
        with Journal(tmp_path / "j.jsonl") as journal:
            more = [*requests, *asks(2, sample=1)]
            assert len(list(backend(stub, journal).generate(more))) == 6
        assert len(stub.sent()) == len(set(stub.sent())) == 6


def test_a_run_killed_around_the_start_sends_nothing_twice(tmp_path: pathlib.Path) -> None:
    """The server has the batch and the journal only the intention, and the other way round."""
    path = tmp_path / "j.jsonl"
    with serving(kind=Desk) as stub:
        with Journal(path) as journal:
            list(backend(stub, journal).generate(asks(2)))
        lines = path.read_text().splitlines(keepends=True)
        states = [json.loads(line).get("state") for line in lines]
        cut = states.index("started")
        path.write_text("".join(lines[:cut]))
        with Journal(path) as journal:
            assert texts(list(backend(stub, journal).generate(asks(2)))) == ["É 0", "É 1"]
        assert len(stub.jobs) == 1
        stub.jobs.clear()
        path.write_text("".join(lines[:cut]))
        with Journal(path) as journal:
            assert texts(list(backend(stub, journal).generate(asks(2)))) == ["É 0", "É 1"]
        assert len(stub.jobs) == 1


def test_a_start_whose_answer_was_lost_is_not_repeated(journal: Journal) -> None:
    with serving(kind=Desk) as stub:
        stub.faults = {
            "POST /files": [error(503), answer({}, drop=True)],
            "POST /batches": [error(429), answer({}, drop=True, late=True)],
            "GET /batches/": [error(500)],
            "GET /files/": [error(502)],
        }
        found = list(backend(stub, journal).generate(asks(3)))
        assert texts(found) == ["É 0", "É 1", "É 2"]
        assert len(stub.jobs) == 1


def test_results_that_the_server_has_deleted_are_asked_again(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "j.jsonl"
    with serving(kind=Desk) as stub:
        with Journal(path) as journal:
            list(backend(stub, journal).generate(asks(2)))
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(line for line in lines if '"answer"' not in line[:20]))
        text = path.read_text()
        path.write_text("".join(line for line in text.splitlines(keepends=True)[:-1]))
        stub.jobs.clear()
        with Journal(path) as journal:
            assert len(journal) == 0
            assert len(list(backend(stub, journal).generate(asks(2)))) == 2


def test_a_refused_file_ends_the_run_with_its_reason(journal: Journal) -> None:
    with serving(kind=Desk) as stub:
        stub.status = "failed"
        with pytest.raises(UserError, match="not to my taste"):
            list(backend(stub, journal).generate(asks(2)))
        stub.status = "completed"
        assert len(list(backend(stub, journal).generate(asks(2)))) == 2
        stub.faults = {"POST /files": [error(401, "who are you")]}
        with pytest.raises(UserError, match="who are you"):
            list(backend(stub, journal).generate(asks(2, sample=1)))


def test_budgets_hold_for_batches(journal: Journal) -> None:
    with serving(kind=Desk) as stub:
        ledger = Ledger(Budget(max_requests=3), journal=journal)
        found, stopped = heard(backend(stub, journal, ledger=ledger).generate(asks(5)), UserError)
        assert (len(found), stopped.budget) == (3, "max_requests")
        assert len(stub.sent()) == 3
        # 15 tokens an answer, at most 60 beforehand: rounds of what fits
        ledger = Ledger(Budget(max_tokens=45 + 130), journal=journal)
        found = list(backend(stub, journal, ledger=ledger).generate(asks(7)))
        assert len(found) == 7
        assert [len(stub.lines(job)) for job in stub.jobs.values()][1:] == [2, 1, 1]


def test_newer_name_of_the_token_limit(journal: Journal) -> None:
    words = {"error": {"message": "use 'max_completion_tokens' instead"}}

    def work(line: dict, batch: str) -> dict:
        return result(line) if "max_completion_tokens" in line["body"] else result(line, 400, words)

    with serving(kind=Desk) as stub:
        stub.work = work
        assert texts(list(backend(stub, journal).generate(asks(2)))) == ["É 0", "É 1"]
        assert len(stub.jobs) == 2


def test_bad_settings() -> None:
    for fields, words in [
        ({"schema_mode": "auto"}, "a batch needs one of"),
        ({"most_requests": 50_001}, "must be 1 to 50000"),
        ({"rounds": 0}, "rounds=0"),
    ]:
        with pytest.raises(UserError, match=words):
            BatchConfig(**fields)
