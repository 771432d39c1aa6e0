import pathlib
import re
import subprocess
import sys

import pytest

from configs import llama3_8b_lora, llama3_70b_tpu
from launch.plan import smallest
from launch.source import planned_model
from launch.stages import check_config, run_pipeline
from ppt_jax.errors import UserError
from ppt_jax.models.shapes import SHAPES, published
from tests.launch.test_pipeline import ROOT

pytestmark = pytest.mark.slow

DEVICES = {
    "llama3_8b_lora": 8,
    "llama3_8b_full": 8,
    "qwen2_7b_lora": 8,
    "qwen3_0p6b_full": 1,
    "llama3_70b_tpu": 128,
}
PUBLISHED = {  # parameters of the released models
    "llama3_8b": 8_030_261_248,
    "llama3_70b": 70_553_706_496,
    "qwen2_7b": 7_615_616_512,
    "qwen3_0p6b": 596_049_920,
}


def plan(*flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "launch.plan", "--compiler=cpu", *flags],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=800,
    )


@pytest.mark.parametrize("name", sorted(DEVICES))
def test_every_recipe_compiles_on_its_mesh_in_its_smallest_form(name: str) -> None:
    done = plan(f"--config=configs/{name}.py", f"--devices={DEVICES[name]}", "--smallest")
    assert done.returncode == 0, done.stderr
    assert f"= {DEVICES[name]} devices" in done.stdout
    adapters = name.endswith("lora")
    found = re.search(r"parameters +([\d,]+), trained ([\d,]+)", done.stdout)
    assert found, done.stdout
    assert (found[1] == found[2]) != adapters
    assert re.search(r"time floor +[\d.e-]+ s a step", done.stdout)


def test_shapes_have_the_published_numbers_of_parameters() -> None:
    import jax

    from ppt_jax.models.decoder import count_parameters, init_params

    assert SHAPES.keys() == PUBLISHED.keys()
    for name, count in PUBLISHED.items():
        config = published(name)
        shapes = jax.eval_shape(lambda config=config: init_params(config, jax.random.key(0)))
        assert count_parameters(shapes) == count


def test_memory_of_the_8b_model_by_hand() -> None:
    done = plan("--config=configs/llama3_8b_lora.py", "--devices=1")
    assert done.returncode == 0, done.stderr
    frozen = float(re.search(r"frozen +([\d.]+) GB", done.stdout)[1])  # type: ignore[index]
    trained = float(re.search(r"trained +([\d.]+) GB", done.stdout)[1])  # type: ignore[index]
    rank, layer = 16, (4096 + 4096) * 2 + (4096 + 1024) * 2 + (4096 + 14_336) * 3
    assert frozen == pytest.approx(8_030_261_248 * 2 / 1e9, abs=2e-3)
    assert trained == pytest.approx(32 * rank * layer * 4 / 1e9, abs=2e-3)


def test_what_cannot_be_planned_is_refused() -> None:
    for flags, words in (
        (["--devices=6"], "do not fill 6 devices"),
        (["--chip=abacus"], "known are a100"),
        (["--config.source.shape=gpt2"], "'gpt2' is unknown"),
        (["--config.source.path=/nowhere"], "no such file"),
        (["--config.train.mesh.tensor=3", "--devices=24"], "does not divide model.kv_heads = 8"),
        (["--config.data.packing.rows=3", "--smallest"], "multiple of"),
    ):
        done = plan("--config=configs/llama3_8b_full.py", *flags)
        assert done.returncode == 2, (flags, done.stdout, done.stderr)
        assert words in done.stderr.splitlines()[0], done.stderr


@pytest.mark.parametrize(
    ("path", "words"),
    [("", "config.source.path is empty"), ("/nowhere", "/nowhere/config.json: no such file")],
)
def test_a_pipeline_without_its_model_is_refused_before_it_starts(
    path: str, words: str, tmp_path: pathlib.Path
) -> None:
    config = llama3_8b_lora.get_config()
    config.source.path = path
    with pytest.raises(UserError, match=words):
        run_pipeline(config, str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_recipes_are_whole_configs() -> None:
    for module in (llama3_8b_lora, llama3_70b_tpu):
        config = module.get_config()
        check_config(config)
        assert planned_model(config).width == SHAPES[config.source.shape]["width"]
    from ppt_jax.training.sharding import MeshConfig

    model = smallest(published("llama3_70b"), MeshConfig(1, 32, 4))
    assert (model.heads // model.kv_heads, model.kv_heads) == (8, 4)
