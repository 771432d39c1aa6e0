"""User errors end in one line that says what and where, never in a traceback."""

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
QUICKSTART = "--config=configs/quickstart.py"


def launch(stage: str, *flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"launch.{stage}", *flags]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=800)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((QUICKSTART, "--config.train.stepz=5"), 'Did you mean "steps" instead of "stepz"?'),
        ((QUICKSTART, "--config.trian.steps=5"), 'Did you mean "train" instead of "trian"?'),
        ((QUICKSTART, "--config.train.steps=many"), "invalid literal for int() with base 10"),
        ((QUICKSTART, "--wrokdir=x"), "Unknown command line flag 'wrokdir'"),
        ((QUICKSTART, "train_size=5"), "unexpected argument 'train_size=5'"),
        ((QUICKSTART,), "--workdir=DIR is missing"),
        (("--workdir={tmp}",), "--config=FILE is missing"),
        (("--config=configs/none.py", "--workdir={tmp}"), "configs/none.py"),
        (
            ("--config=configs/sports_published.py:gpt", "--workdir={tmp}"),
            "none of small, llama3_8b",
        ),
        (
            (QUICKSTART, "--workdir={tmp}", "--config.author.motifs=('success_rat',)"),
            "did you mean success_rate",
        ),
        ((QUICKSTART, "--workdir={tmp}", "--config.author.train_size=-1"), "train_size"),
        ((QUICKSTART, "--workdir={tmp}", "--config.label.max_error=7.0"), "label.max_error"),
        ((QUICKSTART, "--workdir={tmp}", "--config.model.heads=5"), "model.heads"),
    ],
)
def test_a_mistake_is_named_in_one_line(
    flags: tuple[str, ...], message: str, tmp_path: pathlib.Path
) -> None:
    done = launch("pipeline", *(flag.format(tmp=tmp_path) for flag in flags))
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert message in done.stderr
    assert not any(path.suffix == ".jsonl" for path in tmp_path.rglob("*"))


def test_a_stage_without_its_input_names_the_command(tmp_path: pathlib.Path) -> None:
    done = launch("label", QUICKSTART, f"--workdir={tmp_path}")
    assert done.returncode == 2
    assert "run python -m launch.author" in done.stderr


@pytest.mark.parametrize("stage", ["author", "label", "dataset", "train", "evaluate", "pipeline"])
def test_help_says_what_the_stage_does_and_shows_a_command(stage: str) -> None:
    done = launch(stage, "--help")
    assert f"python -m launch.{stage}" in done.stdout
    assert "--workdir" in done.stdout
    assert "--config" in done.stdout
