"""The command that puts one question to a back end, as a user runs it."""

import json
import os
import pathlib
import subprocess
import sys

from tests.authoring.backends.stub_server import answer, completion, error, serving

ROOT = pathlib.Path(__file__).parents[2]
SCHEMA = {
    "type": "object",
    "properties": {"mood": {"type": "string"}},
    "required": ["mood"],
    "additionalProperties": False,
}


def ask(*flags: str, **variables: str) -> tuple[int, str, str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    done = subprocess.run(
        [sys.executable, "-m", "launch.ask", *flags],
        env=environment,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    return done.returncode, done.stdout, done.stderr


def test_a_server_is_asked_and_its_journal_added_up(tmp_path: pathlib.Path) -> None:
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    journal = tmp_path / "j.jsonl"

    def script(body: dict) -> dict:
        if "response_format" in body and body["response_format"]["type"] == "json_object":
            enum = body["response_format"]["schema"]["properties"].get("tag")
            told = {"tag": enum["enum"][0]} if enum else {"mood": "calm"}
            return answer(completion(json.dumps(told)))
        return answer(completion("The sea is wide."))

    with serving(script) as stub:
        flags = (f"--base_url={stub.url}", "--model=m", f"--journal={journal}")
        question = ("--prompt=How is it?", f"--schema={tmp_path / 'schema.json'}")
        code, out, err = ask(*flags, *question, "--api_key_env=MINE", MINE="sk-secret-123456")
    assert code == 0, err
    for words in (
        "json_schema: answered, not enforced",
        "json_object: enforced",
        "asked for by: json_object",
        '{"mood": "calm"}',
        "schema (json_object): kept",
    ):
        assert words in out
    assert "sk-secret-123456" not in out + err + journal.read_text()
    code, out, err = ask(f"--journal={journal}", "--price_read=1000000", "--price_written=0")
    assert code == 0, err
    assert "total: 3 requests, 45 tokens, cost 30.0000" in out


def test_wrong_use_is_one_clear_line(tmp_path: pathlib.Path) -> None:
    code, _, err = ask("--prompt=Hello")
    assert (code, err.count("\n")) == (2, 1)
    assert "--base_url" in err
    with serving([error(401, "who are you")]) as stub:
        code, _, err = ask(f"--base_url={stub.url}", "--model=m", "--prompt=Hello")
    assert code == 2
    assert "who are you; check the API key" in err
