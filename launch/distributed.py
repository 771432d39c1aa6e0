"""Several processes as one job: when to call `jax.distributed.initialize`, and what to say if not.

JAX finds the other processes by itself under Slurm, on Cloud TPU, in GKE (Indexed Jobs and
JobSets) and under Open MPI; anywhere else three flags, or three environment variables, name them.
`start` decides which of these holds, checks what the user gave before JAX waits on it, and turns a
time-out into one line. It must run before anything asks JAX for a device.

    processes = distributed.start()
    ... work on share processes.index of processes.count ...
    distributed.barrier("labels", timeout=3600)
    distributed.stop()
"""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import pathlib
import re
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

from absl import flags

from ppt_jax.errors import UserError

COORDINATOR = flags.DEFINE_string(
    "coordinator_address",
    None,
    "HOST:PORT of process 0, where no cluster manager tells; else JAX_COORDINATOR_ADDRESS.",
)
NUM_PROCESSES = flags.DEFINE_integer(
    "num_processes", None, "How many processes work together; else JAX_NUM_PROCESSES."
)
PROCESS_ID = flags.DEFINE_integer(
    "process_id", None, "This process's number, from 0; else JAX_PROCESS_ID."
)
MODE = flags.DEFINE_enum(
    "distributed",
    "auto",
    ["auto", "on", "off"],
    "Join other processes: when the surroundings say so, always, or never.",
)
TIMEOUT = flags.DEFINE_integer(
    "distributed_timeout", 300, "Seconds to wait for the other processes at the start."
)

_ADDRESS = re.compile(r"(?P<host>\[[0-9a-fA-F:]+\]|[^:\s]+):(?P<port>\d{1,5})")


@dataclasses.dataclass(frozen=True)
class Processes:
    """This process among its peers.

    Attributes:
      index: 0-based number of this process.
      count: number of processes; 1 when it is alone.
      joined: whether `jax.distributed` is up.
    """

    index: int = 0
    count: int = 1
    joined: bool = False

    @property
    def first(self) -> bool:
        """Whether this is process 0, the one that reports and merges."""
        return self.index == 0


@dataclasses.dataclass(frozen=True)
class Plan:
    """What `start` will do: nothing, let JAX detect the cluster, or take the explicit numbers.

    Attributes:
      how: ``"alone"``, ``"detect"`` or ``"explicit"``.
      manager: what told so, for messages.
      address, count, index: of an explicit plan.
      local_devices: devices of this process, None for JAX's own choice.
    """

    how: str
    manager: str = ""
    address: str | None = None
    count: int | None = None
    index: int | None = None
    local_devices: tuple[int, ...] | None = None


def plan(
    environ: Mapping[str, str],
    *,
    mode: str = "auto",
    address: str | None = None,
    count: int | None = None,
    index: int | None = None,
    tpu: bool = False,
) -> Plan:
    """Decides from flags and environment whether, and how, to join other processes.

    Args:
      environ: environment variables.
      mode: ``auto``, ``on`` or ``off``.
      address, count, index: the explicit flags, None where not given.
      tpu: whether this machine has TPU chips.

    Returns:
      The plan.

    Raises:
      UserError: part of the explicit numbers is missing or makes no sense; or mode ``on`` where
        nothing tells who the others are.

    Example:
      >>> plan({"SLURM_JOB_ID": "7", "SLURM_STEP_NODELIST": "n[1-2]", "SLURM_NTASKS": "2",
      ...       "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}).how
      'detect'
    """
    given = {
        "coordinator_address": address or environ.get("JAX_COORDINATOR_ADDRESS"),
        "num_processes": _number(count, environ, "JAX_NUM_PROCESSES"),
        "process_id": _number(index, environ, "JAX_PROCESS_ID"),
    }
    named = any(value is not None for value in (address, count, index))
    if mode == "off":
        if named:
            raise UserError("--distributed=off contradicts --coordinator_address and its kin")
        return Plan("alone")
    if named or all(value is not None for value in given.values()):
        return _explicit(given)
    manager = _manager(environ, tpu)
    if manager:
        return Plan("detect", manager, local_devices=_slurm_devices(environ, manager))
    if mode == "on":
        raise UserError(
            "--distributed=on, but neither Slurm, TPU, Kubernetes nor Open MPI is around; give "
            "--coordinator_address=HOST:PORT --num_processes=N --process_id=I"
        )
    return Plan("alone")


def _number(flag: int | None, environ: Mapping[str, str], name: str) -> int | None:
    text = environ.get(name)
    if flag is not None or text is None:
        return flag
    if not text.strip().isdecimal():
        raise UserError(f"{name}={text!r}: must be a whole number")
    return int(text)


def _explicit(given: Mapping[str, str | int | None]) -> Plan:
    missing = [f"--{name}" for name, value in given.items() if value is None]
    if missing:
        raise UserError(
            f"{' and '.join(missing)} missing: several processes need --coordinator_address, "
            "--num_processes and --process_id, all three"
        )
    address, count, index = given.values()
    assert isinstance(address, str)
    assert isinstance(count, int)
    assert isinstance(index, int)
    match = _ADDRESS.fullmatch(address)
    if match is None or not 0 < int(match["port"]) < 65536:
        raise UserError(f"--coordinator_address={address}: must be HOST:PORT, e.g. 10.0.0.1:8476")
    if count < 1:
        raise UserError(f"--num_processes={count}: must be at least 1")
    if not 0 <= index < count:
        raise UserError(f"--process_id={index}: must be from 0 to {count - 1}, one a process")
    if count == 1:
        return Plan("alone")
    return Plan("explicit", "--coordinator_address", address, count, index)


def _manager(environ: Mapping[str, str], tpu: bool) -> str:
    """The cluster manager that started more than one process, as JAX detects them, or ""."""
    slurm = ("JOB_ID", "STEP_NODELIST", "NTASKS", "PROCID", "LOCALID")
    if all(f"SLURM_{name}" in environ for name in slurm):
        tasks = environ.get("SLURM_STEP_NUM_TASKS", environ["SLURM_NTASKS"])
        if int(tasks) > 1:
            return "Slurm"
    hosts = environ.get("TPU_PROCESS_ADDRESSES", environ.get("TPU_WORKER_HOSTNAMES", ""))
    slices = environ.get("MEGASCALE_NUM_SLICES", "1")
    if tpu and ("," in hosts or slices not in ("", "1")):
        return "GKE TPU"
    if tpu and not hosts and "TPU_SKIP_MDS_QUERY" not in environ:
        return "Cloud TPU"
    if int(environ.get("OMPI_COMM_WORLD_SIZE", "1")) > 1:
        return "Open MPI"
    kubernetes = {"KUBERNETES_SERVICE_HOST", "JOB_COMPLETION_INDEX"} <= environ.keys()
    if kubernetes and importlib.util.find_spec("kubernetes") is not None:
        return "Kubernetes"
    return ""


def _slurm_devices(environ: Mapping[str, str], manager: str) -> tuple[int, ...] | None:
    """All of a node's GPUs when Slurm runs one task a node; JAX would take one GPU of them."""
    if manager != "Slurm" or "JAX_LOCAL_DEVICE_IDS" in environ:
        return None
    alone = re.fullmatch(r"1(\(x\d+\))?", environ.get("SLURM_STEP_TASKS_PER_NODE", ""))
    visible = [name for name in environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return tuple(range(len(visible))) if alone and visible else None


def _has_tpu() -> bool:
    chips = pathlib.Path("/dev/accel0").exists() or pathlib.Path("/dev/vfio/0").exists()
    return chips and importlib.util.find_spec("libtpu") is not None


def start() -> Processes:
    """Joins the other processes of this job, if there are any.

    Returns:
      This process's place.

    Raises:
      UserError: the flags contradict each other, or JAX cannot set the processes up. When the
        others do not come within ``--distributed_timeout`` seconds, the process prints that in one
        line and ends with status 2 (JAX itself would abort with a stack trace).
    """
    decided = plan(
        os.environ,
        mode=MODE.value,
        address=COORDINATOR.value,
        count=NUM_PROCESSES.value,
        index=PROCESS_ID.value,
        tpu=_has_tpu(),
    )
    if decided.how == "alone":
        return Processes()
    if TIMEOUT.value < 1:
        raise UserError(f"--distributed_timeout={TIMEOUT.value}: must be at least 1 second")
    import jax

    who = (
        f"process {decided.index} of {decided.count}, coordinator {decided.address}"
        if decided.how == "explicit"
        else f"as told by {decided.manager}"
    )
    watch = threading.Timer(TIMEOUT.value, _give_up, (who, TIMEOUT.value))
    watch.daemon = True
    watch.start()
    try:
        jax.distributed.initialize(
            decided.address,
            decided.count,
            decided.index,
            local_device_ids=decided.local_devices,
            cluster_detection_method="deactivate" if decided.how == "explicit" else None,
            initialization_timeout=TIMEOUT.value + 60,  # ours comes first, with a message
            shutdown_timeout_seconds=30,  # all have passed a barrier by then, or one was stopped
        )
    except (RuntimeError, ValueError, TypeError, KeyError, OSError) as error:
        raise UserError(
            f"jax.distributed ({who}) cannot start: {error}; give --coordinator_address, "
            "--num_processes and --process_id, or --distributed=off to work alone"
        ) from error
    finally:
        watch.cancel()
    return Processes(jax.process_index(), jax.process_count(), joined=True)


def _give_up(who: str, seconds: int) -> None:
    print(
        f"error: jax.distributed ({who}): the processes did not find each other within {seconds} "
        "s; check that all were started with the same --coordinator_address and --num_processes, "
        "each with its own --process_id, and that the port is open (a proxy in the environment "
        "can be in the way); --distributed_timeout waits longer",
        file=sys.stderr,
        flush=True,
    )
    os._exit(2)  # the main thread sits in JAX's C++ and cannot be interrupted


def gather(name: str, text: str, *, timeout: float) -> list[str]:
    """Exchanges one text a process; also a barrier, for it returns when all have come.

    Args:
      name: of this exchange, another one every time.
      text: this process's.
      timeout: seconds to wait for the slowest.

    Returns:
      The texts by process index; just this one's when it is alone.

    Raises:
      UserError: the others did not come in time, or one of them died.
    """
    client = _client()
    if client is None:
        return [text]
    from jax._src import distributed as runtime

    own, count = runtime.global_state.process_id, runtime.global_state.num_processes
    found: dict[int, str] = {}
    end = time.monotonic() + timeout
    try:
        client.key_value_set(f"ppt_jax/{name}/{own}", text or " ")
        while len(found) < count:  # asks again and again, so that Ctrl-C is heard
            for index in set(range(count)) - found.keys():
                found.update(_posted(client, name, index))
            if len(found) < count:
                if time.monotonic() > end:
                    late = ", ".join(str(i) for i in range(count) if i not in found)
                    raise UserError(f"{name}: process {late} did not come within {timeout:.0f} s")
                time.sleep(0.1)
    except RuntimeError as error:
        raise UserError(
            f"waiting for the other processes at {name!r}: {str(error).splitlines()[0]}; look at "
            "their output, then start the whole job again: it goes on where it was"
        ) from error
    return ["" if found[index] == " " else found[index] for index in range(count)]


def _posted(client: Any, name: str, index: int) -> dict[int, str]:
    try:
        return {index: client.key_value_try_get(f"ppt_jax/{name}/{index}")}
    except RuntimeError as error:
        if "NOT_FOUND" in str(error):
            return {}
        raise


def barrier(name: str, *, timeout: float) -> None:
    """Waits until every process has come to the barrier of that name.

    Raises:
      UserError: as `gather`.
    """
    gather(f"barrier/{name}", "", timeout=timeout)


def _client() -> Any:
    """JAX's connection to the coordinator; JAX has no public call for barriers without devices."""
    if "jax" not in sys.modules:
        return None
    from jax._src import distributed as runtime

    return runtime.global_state.client


def stop() -> None:
    """Leaves the group in good order; does nothing in a process alone."""
    if _client() is not None:
        import jax

        jax.distributed.shutdown()
