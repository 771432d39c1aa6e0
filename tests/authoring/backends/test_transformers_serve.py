"""`transformers serve` with a tiny random Llama: a real server for protocol and reject path.

It needs torch and ``transformers[serving]``, in this Python or in the one that
``PPT_JAX_SERVE_PYTHON`` names; without them it is skipped.
"""

import os
import pathlib
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator

import pytest

from ppt_jax.authoring.backends.chat import ChatBackend, ChatConfig
from ppt_jax.authoring.backends.journal import Journal
from ppt_jax.authoring.backends.json_answers import NotJson, json_object
from ppt_jax.authoring.backends.openai_sdk import OpenAIServer
from ppt_jax.authoring.backends.protocol import Message, Request

PYTHON = os.environ.get("PPT_JAX_SERVE_PYTHON", sys.executable)
SCHEMA = {
    "type": "object",
    "properties": {"mood": {"type": "string"}},
    "required": ["mood"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Address of the server and name of its model."""
    probe = "import torch, fastapi, uvicorn, transformers"
    if subprocess.run([PYTHON, "-c", probe], capture_output=True).returncode:
        pytest.skip("needs torch and transformers[serving]")
    folder = tmp_path_factory.mktemp("llama")
    maker = pathlib.Path(__file__).with_name("tiny_llama.py")
    subprocess.run([PYTHON, str(maker), str(folder)], check=True, capture_output=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = folder / "serve.log"
    command = [
        str(pathlib.Path(PYTHON).with_name("transformers")),
        *("serve", "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"),
    ]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hub")}
    with open(log, "wb") as out:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + 240
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
                    break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"the server did not start: {log.read_text()[-2000:]}")
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/v1", str(folder)
    finally:
        process.terminate()
        process.wait(30)


def test_protocol_concurrency_resume_and_rejects(
    served: tuple[str, str], tmp_path: pathlib.Path
) -> None:
    url, model = served
    server = OpenAIServer(url, api_key_env="", timeout=120)
    free = [Request((Message("user", f"Story {n}"),), model, max_tokens=16) for n in range(6)]
    formal = [
        Request((Message("user", f"Mood {n}"),), model, SCHEMA, max_tokens=16) for n in range(2)
    ]
    with Journal(tmp_path / "j.jsonl") as journal:
        backend = ChatBackend(server, ChatConfig(concurrency=3), journal=journal)
        first = {r.key: r for r in backend.generate(free[:3])}
        found = {r.key: r for r in backend.generate([*free, *formal])}
        notes = journal.notes("probe")
    assert len(found) == 8
    assert all(found[key].text == response.text for key, response in first.items())
    assert sum(response.cached for response in found.values()) == 3
    for response in found.values():
        assert response.finish_reason in ("stop", "length", "error")
        assert response.completion_tokens <= 16
        assert response.prompt_tokens > 0
    # It takes a schema and ignores it: the probe says so, and answers fail validation.
    assert notes[0]["mode"] == "prompt"
    for request in formal:
        response = found[request.key]
        assert response.enforced == "prompt"
        with pytest.raises(NotJson):
            json_object(response.text)
    with Journal(tmp_path / "j.jsonl") as journal:
        again = list(ChatBackend(server, journal=journal).generate([*free, *formal]))
    assert all(response.cached for response in again)
