"""A scripted chat server on loopback: it answers as told, fails as told, and counts."""

import contextlib
import functools
import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from ppt_jax.authoring.backends.openai_sdk import OpenAIServer


def completion(text="fine", finish_reason="stop", usage=(10, 5), **message) -> dict[str, Any]:
    """The JSON object of a chat completion."""
    body: dict[str, Any] = {
        "id": "c1",
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "finish_reason": finish_reason,
                "message": {"role": "assistant", "content": text, **message},
            }
        ],
    }
    if usage:
        body["usage"] = {"prompt_tokens": usage[0], "completion_tokens": usage[1]}
    return body


def answer(body=None, status=200, headers=None, **how) -> dict[str, Any]:
    """One scripted answer; ``how``: hang, drop, cut (bytes sent of the body), drip (s a byte)."""
    return {"status": status, "body": completion() if body is None else body} | {
        "headers": headers or {},
        **how,
    }


def error(status, message="no", headers=None, **fields) -> dict[str, Any]:
    return answer({"error": {"message": message, **fields}}, status, headers)


class Stub:
    """The server's script and its memory.

    ``script`` is a list of answers, used one after the other, or a function of the request's body;
    behind its end every answer is fine.
    """

    def __init__(
        self, script: list | Callable[[dict], dict] | None = None, *, url: str = ""
    ) -> None:
        self.script = script if script is not None else []
        self.lock = threading.Lock()
        self.bodies: list[dict] = []
        self.headers: list[dict[str, str]] = []
        self.flying = self.peak = 0
        self.over = threading.Event()
        self.url = url

    def next(self, body: dict) -> dict:
        if callable(self.script):
            return self.script(body)
        with self.lock:
            return self.script.pop(0) if self.script else answer()

    def route(self, method: str, path: str, raw: bytes) -> dict:
        """Answers whatever is no chat."""
        return error(404, f"no {path}")

    def texts(self) -> list[str]:
        """The last message of every request, in order."""
        return [body["messages"][-1]["content"] for body in self.bodies]


_S = TypeVar("_S", bound=Stub)


class Handler(http.server.BaseHTTPRequestHandler):
    """Hands requests to the stub of the moment."""

    protocol_version = "HTTP/1.1"
    stub: Stub

    def log_message(self, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        stub = type(self).stub
        self.reply(stub, stub.route("GET", self.path, b""))

    def do_POST(self) -> None:
        stub = type(self).stub
        raw = self.rfile.read(int(self.headers["content-length"]))
        if not self.path.endswith("/chat/completions"):
            self.reply(stub, stub.route("POST", self.path, raw))
            return
        body = json.loads(raw)
        with stub.lock:
            stub.bodies.append(body)
            stub.headers.append({k.lower(): v for k, v in self.headers.items()})
            stub.flying += 1
            stub.peak = max(stub.peak, stub.flying)
        try:
            self.reply(stub, stub.next(body))
        finally:
            with stub.lock:
                stub.flying -= 1

    def reply(self, stub: Stub, told: dict) -> None:
        if told.get("hang"):
            stub.over.wait(5)
        if told.get("hang") or told.get("drop"):
            self.close_connection = True
            return
        data = told["body"]
        data = data if isinstance(data, bytes) else json.dumps(data).encode()
        self.send_response(told["status"])
        for name, value in told["headers"].items():
            self.send_header(name, value)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        if "cut" in told:
            data, self.close_connection = data[: told["cut"]], True
        if "drip" in told:
            for byte in data:
                with contextlib.suppress(OSError):
                    self.wfile.write(bytes([byte]))
                if stub.over.wait(told["drip"]):
                    break
            self.close_connection = True
            return
        time.sleep(told.get("after", 0))
        with contextlib.suppress(OSError):
            self.wfile.write(data)


@functools.cache
def _address() -> str:
    """Starts the server, once for all tests of a process."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}/v1"


@contextlib.contextmanager
def serving(
    script: list | Callable[[dict], dict] | None = None, kind: type[_S] = Stub
) -> Iterator[_S]:
    """A stub behind the server."""
    stub = kind(script)
    Handler.stub = stub
    stub.url = _address()
    try:
        yield stub
    finally:
        stub.over.set()


@functools.cache
def client(url: str, timeout: float = 5.0) -> OpenAIServer:
    """A client without a key; making one reads all certificates, which takes its time."""
    return OpenAIServer(url, api_key_env="", timeout=timeout)
