"""The only file that knows the `openai` package: chat completions, files and batches.

The package's own repeats are switched off; this project repeats, counts and waits itself. Answers
are read in pieces against one deadline, so that a server that sends a byte now and then cannot hold
a request for ever, and up to a size, so that it cannot fill the memory.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any

from ppt_jax.authoring.backends.pacing import retry_after
from ppt_jax.authoring.backends.server import ServerFault
from ppt_jax.errors import UserError

_MOST_BYTES = 16 << 20  # of one answer
_LEAST_SECRET = 6  # characters; what is shorter is a placeholder, and stands in any text
_HOSTED = "api.openai.com"


class OpenAIServer:
    """An OpenAI-compatible server.

    Args:
      base_url: up to and including the version, e.g. ``"http://127.0.0.1:8000/v1"``.
      api_key_env: name of the environment variable that holds the key. The key itself is read here
        and goes nowhere but into the request's header. Empty for servers that need none; OpenAI's
        own is ``OPENAI_API_KEY`` when it is empty, and that one is never sent to anybody else
        unless it is named.
      timeout: seconds for one answer, from sending to the last byte.

    Raises:
      UserError: the `openai` package is missing, the address is no address, or a hosted server
        needs a key and the variable is not set.
    """

    def __init__(self, base_url: str, *, api_key_env: str, timeout: float) -> None:
        try:
            import openai
        except ImportError as error:
            raise UserError(
                "this back end needs the openai package: pip install 'ppt_jax[llm]'"
            ) from error
        parts = urllib.parse.urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UserError(
                f"base_url={base_url!r}: must be an address such as http://127.0.0.1:8000/v1"
            )
        if not api_key_env and parts.hostname == _HOSTED:
            api_key_env = "OPENAI_API_KEY"
        key = os.environ.get(api_key_env, "").strip() if api_key_env else ""
        if not key and api_key_env:
            raise UserError(
                f"{parts.hostname} needs a key: export {api_key_env}=... and start again"
            )
        if not key.isascii():
            raise UserError(f"{api_key_env}: the key holds characters that are no ASCII")
        port = f":{parts.port}" if parts.port else ""
        self.name = f"{parts.scheme}://{parts.hostname}{port}{parts.path}".rstrip("/")
        self.secrets = tuple(s for s in (key, parts.password or "") if len(s) >= _LEAST_SECRET)
        self._timeout = timeout
        self._sdk = openai
        self._client = openai.OpenAI(
            base_url=base_url, api_key=key or "none", max_retries=0, timeout=timeout
        )

    def complete(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """See `ChatServer`."""
        deadline = time.monotonic() + self._timeout
        known = {"messages", "model"}
        fields = {name: value for name, value in body.items() if name not in known}
        create = self._client.chat.completions.with_streaming_response.create
        with (
            self._faults(),
            create(messages=body["messages"], model=body["model"], extra_body=fields) as answer,
        ):
            data = self._whole(answer.iter_bytes(), deadline)
        try:
            found = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise ServerFault(f"the answer is no whole JSON ({len(data)} bytes)") from error
        if not isinstance(found, dict):
            raise ServerFault(f"the answer is no JSON object but {type(found).__name__}")
        if "choices" not in found and "error" in found:  # an error with status 200
            raise ServerFault(self._clean(f"the server answered with an error: {found['error']}"))
        return found

    def upload(self, name: str, content: bytes) -> str:
        """See `BatchServer`."""
        with self._faults():
            made = self._client.files.create(file=(name, content), purpose="batch")
        return made.id

    def start_batch(self, file_id: str, token: str) -> dict[str, Any]:
        """See `BatchServer`."""
        with self._faults():
            made = self._client.batches.create(
                input_file_id=file_id,
                endpoint="/v1/chat/completions",
                completion_window="24h",
                metadata={"ppt_jax": token},
            )
        return made.to_dict(mode="json")

    def batch(self, batch_id: str) -> dict[str, Any]:
        """See `BatchServer`."""
        with self._faults():
            return self._client.batches.retrieve(batch_id).to_dict(mode="json")

    def batches(self) -> Iterator[dict[str, Any]]:
        """See `BatchServer`."""
        with self._faults():
            for one in self._client.batches.list(limit=100):
                yield one.to_dict(mode="json")

    def lines(self, file_id: str) -> Iterator[str]:
        """See `BatchServer`."""
        content = self._client.files.with_streaming_response.content
        with self._faults(), content(file_id) as answer:
            yield from answer.iter_lines()

    def _whole(self, pieces: Iterator[bytes], deadline: float) -> bytes:
        data = bytearray()
        for piece in pieces:
            data += piece
            if len(data) > _MOST_BYTES:
                raise ServerFault(f"the answer is longer than {_MOST_BYTES >> 20} MiB")
            if time.monotonic() > deadline:
                raise ServerFault(f"the answer was not whole after {self._timeout:g} s")
        return bytes(data)

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        """Turns whatever the package raises into `ServerFault`."""
        try:
            yield
        except self._sdk.APIStatusError as error:
            headers = {name.lower(): value for name, value in error.response.headers.items()}
            raise ServerFault(
                self._clean(f"{error.status_code}: {_said(error)}"),
                status=error.status_code,
                retry_after=retry_after(headers),
                code=error.code or error.type or "",
            ) from None
        except self._sdk.APITimeoutError:
            raise ServerFault(f"no answer within {self._timeout:g} s") from None
        except self._sdk.APIConnectionError as error:
            cause = error.__cause__
            unreachable = "ConnectError" in type(cause).__name__
            raise ServerFault(
                self._clean(f"connection failed ({cause or error})"), unreachable=unreachable
            ) from None
        except self._sdk.OpenAIError as error:
            raise ServerFault(self._clean(f"{type(error).__name__}: {error}")) from None
        except Exception as error:
            # While an answer is read, errors of the HTTP library come through as they are; which
            # library that is depends on the package's version.
            if not type(error).__module__.startswith(("http", "h11", "h2")):
                raise
            raise ServerFault(
                self._clean(f"the connection broke ({type(error).__name__}: {error})")
            ) from None

    def _clean(self, text: str) -> str:
        for secret in self.secrets:
            text = text.replace(secret, "[key]")
        return text if len(text) <= 500 else text[:500] + "..."


def _said(error: Any) -> str:
    """The server's own words about an error."""
    body = error.body
    if isinstance(body, Mapping):
        for name in ("message", "error", "detail"):
            if isinstance(body.get(name), str) and body[name]:
                return body[name]
        return json.dumps(body, ensure_ascii=False)
    return str(body or error.message)
