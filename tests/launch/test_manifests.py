import os
import pathlib
import re
import subprocess

import pytest
import yaml

from tests.launch.test_pipeline import ROOT

SCRIPTS = ("slurm.sh", "tpu_pod.sh")


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_parse_and_name_what_is_there(name: str) -> None:
    path = ROOT / "launch" / name
    subprocess.run(["bash", "-n", path], check=True)
    text = path.read_text()
    for recipe in re.findall(r"configs/\w+\.py", text):
        assert (ROOT / recipe).exists(), recipe
    assert "-m launch.train" in " ".join(text.replace("\\\n", " ").split())
    assert set(re.findall(r"--config\.(\w+\.\w+)", text)) <= {"source.path", "train.steps"}


def test_slurm_reads_its_directives_before_the_first_command() -> None:
    lines = (ROOT / "launch" / "slurm.sh").read_text().splitlines()
    first = next(n for n, line in enumerate(lines) if line.strip() and not line.startswith("#"))
    assert max(n for n, line in enumerate(lines) if line.startswith("#SBATCH")) < first


def test_slurm_starts_one_process_a_node_with_everything_it_was_told(
    tmp_path: pathlib.Path,
) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "srun").write_text('#!/bin/bash\nprintf "%s\\n" "$@"\n')
    (tools / "srun").chmod(0o755)
    settings = {"CONFIG": "a.py", "WORKDIR": "/w d", "SOURCE": "/m", "EXTRA": "--x=1 --y=2"}
    done = subprocess.run(
        ["bash", ROOT / "launch" / "slurm.sh"],
        env={**os.environ, **settings, "PATH": f"{tools}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[1:] == [
        *(".venv/bin/python", "-m", "launch.train", "--config=a.py", "--workdir=/w d"),
        *("--config.source.path=/m", "--x=1", "--y=2"),
    ]


def test_the_jobset_runs_training_with_the_settings_of_its_config_map() -> None:
    settings, jobset = yaml.safe_load_all((ROOT / "launch" / "jobset.yaml").read_text())
    assert (ROOT / settings["data"]["CONFIG"]).exists()
    job = jobset["spec"]["replicatedJobs"][0]["template"]["spec"]
    assert job["completionMode"] == "Indexed"
    assert job["parallelism"] == job["completions"]
    container = job["template"]["spec"]["containers"][0]
    used = set(re.findall(r"\$(\w+)", container["args"][0]))
    assert used == set(settings["data"])
    assert "launch.train" in container["args"][0]
