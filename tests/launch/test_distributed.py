"""When several processes are joined, decided from flags and environment alone."""

import pytest

from launch.distributed import plan
from ppt_jax.errors import UserError

SLURM = {
    "SLURM_JOB_ID": "7",
    "SLURM_STEP_NODELIST": "node[1-2]",
    "SLURM_NTASKS": "4",
    "SLURM_PROCID": "1",
    "SLURM_LOCALID": "1",
}


def test_a_lone_process_joins_nobody() -> None:
    assert plan({}).how == "alone"
    assert plan({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}).how == "alone"


def test_slurm_steps_of_several_tasks_are_left_to_jax() -> None:
    assert plan(SLURM).manager == "Slurm"
    assert plan({**SLURM, "SLURM_STEP_NUM_TASKS": "1"}).how == "alone"  # an array task
    batch = {name: value for name, value in SLURM.items() if name != "SLURM_STEP_NODELIST"}
    assert plan(batch).how == "alone"  # the batch script itself, outside srun
    assert plan(SLURM, mode="off").how == "alone"


def test_one_slurm_task_a_node_gets_all_gpus_of_its_node() -> None:
    one = {**SLURM, "SLURM_STEP_TASKS_PER_NODE": "1(x4)", "CUDA_VISIBLE_DEVICES": "0,1,2,3"}
    assert plan(one).local_devices == (0, 1, 2, 3)
    two = {**one, "SLURM_STEP_TASKS_PER_NODE": "2(x2)"}
    assert plan(two).local_devices is None
    assert plan({**one, "JAX_LOCAL_DEVICE_IDS": "0"}).local_devices is None


def test_tpu_pods_and_slices_are_left_to_jax() -> None:
    hosts = {"TPU_WORKER_HOSTNAMES": "a,b", "TPU_WORKER_ID": "0"}
    assert plan(hosts, tpu=True).manager == "GKE TPU"
    assert plan(hosts, tpu=False).how == "alone"
    assert plan({"TPU_WORKER_HOSTNAMES": "localhost"}, tpu=True).how == "alone"
    slices = {"TPU_WORKER_HOSTNAMES": "localhost", "MEGASCALE_NUM_SLICES": "2"}
    assert plan(slices, tpu=True).manager == "GKE TPU"
    assert plan({}, tpu=True).manager == "Cloud TPU"


def test_explicit_numbers_win_and_may_come_from_the_environment() -> None:
    found = plan(SLURM, address="10.0.0.1:8476", count=3, index=2)
    assert (found.how, found.address, found.count, found.index) == (
        *("explicit", "10.0.0.1:8476", 3, 2),
    )
    environ = {
        "JAX_COORDINATOR_ADDRESS": "[::1]:99",
        "JAX_NUM_PROCESSES": "2",
        "JAX_PROCESS_ID": "0",
    }
    assert plan(environ).address == "[::1]:99"
    assert plan({}, address="h:1", count=1, index=0).how == "alone"
    # an address alone is JAX's own convention under a manager, and says nothing by itself
    assert plan({"JAX_COORDINATOR_ADDRESS": "h:1"}).how == "alone"


@pytest.mark.parametrize(
    ("address", "count", "index", "message"),
    [
        (None, 2, 0, "--coordinator_address missing"),
        ("10.0.0.1:80", None, 1, "--num_processes missing"),
        ("10.0.0.1", 2, 0, "must be HOST:PORT"),
        ("10.0.0.1:99999", 2, 0, "must be HOST:PORT"),
        ("10.0.0.1:80", 0, 0, "--num_processes=0"),
        ("10.0.0.1:80", 2, 2, "--process_id=2: must be from 0 to 1"),
        ("10.0.0.1:80", 2, -1, "--process_id=-1"),
    ],
)
def test_numbers_that_make_no_sense_are_named(
    address: str | None, count: int | None, index: int | None, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        plan({}, address=address, count=count, index=index)


def test_contradictions_of_the_mode_are_named() -> None:
    with pytest.raises(UserError, match="--distributed=off contradicts"):
        plan({}, mode="off", count=2)
    with pytest.raises(UserError, match="neither Slurm, TPU, Kubernetes nor Open MPI"):
        plan({}, mode="on")
    with pytest.raises(UserError, match="JAX_NUM_PROCESSES='two'"):
        plan({"JAX_NUM_PROCESSES": "two"})
