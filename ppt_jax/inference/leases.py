"""Who is at work on which shard: leases that a dead process cannot keep.

A lease is a small file, made with ``O_EXCL``, that its holder rewrites every few seconds. File
locks of the kernel would be shorter to write, but they need a lock server on network file systems
(and bucket mounts have none), and they do not say who holds them. Here

- a holder that is gone from this machine is seen at once, by process number and start time;
- a holder on another machine is dead when its file stays unchanged for `LEASE_SECONDS` by the
  *watcher's* clock, so clocks of two machines are never compared;
- a dead holder's file is renamed away by whoever comes next, and looked at once more after that.

A lease saves work, it does not guard the labels: these are written whole under their final name
and are the same whoever makes them, so that two holders at once (a process that was stopped for
minutes and woke up) cost time and nothing else.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import pathlib
import socket
import threading
import time
import uuid
from collections.abc import Callable
from types import TracebackType
from typing import Any

from ppt_jax.errors import UserError

LEASE_SECONDS = 60.0
BEAT_SECONDS = 5.0


@functools.cache
def this_machine() -> str:
    """A name of this machine, start and process-number space; equal only where `pid` compares."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    with contextlib.suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)


def born(pid: int) -> str:
    """When a process of this machine started, or "" where it is not there (or cannot be known)."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    state, fields = text.rpartition(")")[2].split()[0], text.rpartition(")")[2].split()
    return "" if state in "ZX" else fields[19]


def _running(pid: int, start: str) -> bool:
    if pathlib.Path("/proc/self/stat").exists():
        return born(pid) == start != ""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _read(path: pathlib.Path) -> dict[str, Any] | None:
    """A lease's content; {} where it is half written, None where there is no file."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


class Lease:
    """One shard held by this process; a thread keeps it fresh until `release`.

    Args:
      path: the lease's file, which exists and is ours.
      content: what stands in it.
      beat: seconds between refreshes.
    """

    def __init__(self, path: pathlib.Path, content: dict[str, Any], beat: float) -> None:
        self._path, self._content, self._beat = path, content, beat
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._thread.start()

    def note(self, **counts: int) -> None:
        """Counts that go into the file at the next refresh, for others to read."""
        self._content = {**self._content, **counts}

    def _ours(self) -> bool:
        found = _read(self._path)
        return found is not None and found.get("token", "") in ("", self._content["token"])

    def _keep(self) -> None:
        fresh = self._path.with_name(f".{self._path.name}.{self._content['token']}")
        beats = 0
        while not self._over.wait(self._beat):
            beats += 1
            with contextlib.suppress(OSError):  # a full disk must not end the work
                if self._ours():
                    fresh.write_text(json.dumps({**self._content, "beats": beats}))
                    os.replace(fresh, self._path)
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)

    def release(self) -> None:
        """Gives the shard back."""
        self._over.set()
        self._thread.join()
        with contextlib.suppress(OSError):
            if self._ours():
                self._path.unlink(missing_ok=True)

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


class Leases:
    """The leases of one folder, seen by one process.

    Args:
      folder: holds a file a lease; made when missing.
      lease_seconds: how long a file of another machine must stay unchanged to count as left.
      beat_seconds: how often a holder rewrites its file.
      clock: seconds of a steady clock.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        lease_seconds: float = LEASE_SECONDS,
        beat_seconds: float = BEAT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder, self._lease, self._beat = folder, lease_seconds, beat_seconds
        self._clock = clock
        self._seen: dict[str, tuple[tuple[Any, ...], float]] = {}
        self._moved: set[str] = set()  # leases whose holder was seen to refresh them

    def _path(self, name: str) -> pathlib.Path:
        return self._folder / f"{name}.json"

    def take(self, name: str) -> Lease | None:
        """Takes a lease, also from a dead holder; None while somebody else has it.

        Raises:
          UserError: the folder cannot be written.
        """
        path = self._path(name)
        content = {
            "machine": this_machine(),
            "pid": os.getpid(),
            "born": born(os.getpid()),
            "token": uuid.uuid4().hex,
        }
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{path}: cannot write ({error.strerror})") from error
        for _ in range(3):
            try:
                file = open(path, "x", encoding="utf-8")
            except FileExistsError:
                found = _read(path)
                if found is not None and not (self._left(name, found) and self._clear(path, found)):
                    return None
                continue
            except OSError as error:
                raise UserError(f"{path}: cannot write ({error.strerror})") from error
            try:
                with file:
                    file.write(json.dumps(content))
            except OSError as error:
                path.unlink(missing_ok=True)
                raise UserError(f"{path}: cannot write ({error.strerror})") from error
            return Lease(path, content, self._beat)
        return None

    def _left(self, name: str, found: dict[str, Any]) -> bool:
        """Whether a lease's holder is gone."""
        if found.get("machine") == this_machine():
            return not _running(int(found.get("pid", 0)), str(found.get("born", "")))
        sign = (found.get("token"), found.get("beats"))
        now = self._clock()
        before, since = self._seen.get(name, (None, now))
        if before != sign:
            if before is not None:
                self._moved.add(name)
            self._seen[name] = (sign, now)
            return False
        return now - since > self._lease

    def _clear(self, path: pathlib.Path, judged: dict[str, Any]) -> bool:
        """Renames a left lease away; a fresh one caught in between is put back."""
        aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        try:
            os.rename(path, aside)
        except FileNotFoundError:
            return True
        except OSError as error:
            raise UserError(f"{path}: cannot write ({error.strerror})") from error
        found = _read(aside) or {}
        if found.get("token") == judged.get("token"):
            aside.unlink(missing_ok=True)
            return True
        with contextlib.suppress(OSError):
            os.link(aside, path)
        aside.unlink(missing_ok=True)
        return False

    def holder(self, name: str) -> str:
        """Who holds a lease, in words; "" when nobody does."""
        found = _read(self._path(name))
        if found is None:
            return ""
        host = str(found.get("machine", "?")).split(" ")[0]
        return f"process {found.get('pid', '?')} on {host}"

    def alive(self, name: str) -> bool:
        """Whether the holder is known to live: here by its process, elsewhere by its refreshes."""
        found = _read(self._path(name))
        if not found:
            return False
        return found.get("machine") == this_machine() or name in self._moved

    def counts(self) -> dict[str, dict[str, Any]]:
        """The content of every lease there is, by name: how far the others are."""
        found = {path.stem: _read(path) for path in self._folder.glob("[!.]*.json")}
        return {name: content for name, content in found.items() if content}
