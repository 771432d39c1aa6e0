import json
import shutil
import subprocess
import sys
import weakref
from pathlib import Path

import jax
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from ppt_jax.errors import UserError
from ppt_jax.models.architecture import DecoderConfig
from ppt_jax.models.decoder import init_params
from ppt_jax.models.exchange import Tensors, export_params, load_params, read_config
from ppt_jax.models.families import hf_from_config
from tests.models.test_families import CASES, GOLDEN


def stored(directory):
    """All tensors of a directory, whatever their files."""
    found = {}
    for path in Path(directory).glob("*.safetensors"):
        with safe_open(path, "numpy") as file:
            found |= {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    return found


def imported(case):
    config = read_config(GOLDEN / case)
    return (
        config,
        load_params(GOLDEN / case, config),
        json.loads((GOLDEN / case / "config.json").read_text()),
    )


@pytest.mark.parametrize("case", CASES)
def test_import_export_import_is_bitwise(case, tmp_path):
    config, params, hf_config = imported(case)
    out = export_params(
        params, config, tmp_path / "out", hf_config=hf_config, dtype="float32", shard_bytes=4000
    )
    assert len(list(out.glob("*.safetensors"))) > 1
    before, after = stored(GOLDEN / case), stored(out)
    assert before.keys() == after.keys()
    for name, array in before.items():
        np.testing.assert_array_equal(array, after[name])
    again = load_params(out, read_config(out))
    jax.tree.map(np.testing.assert_array_equal, params, again)
    index = json.loads((out / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == sum(array.nbytes for array in after.values())


def test_bfloat16_goes_out_and_comes_back_bitwise(tmp_path):
    config, params, hf_config = imported("qwen3")
    first = export_params(params, config, tmp_path / "first", hf_config=hf_config)
    frozen = load_params(first, config, dtype="bfloat16")
    assert {leaf.dtype.name for leaf in jax.tree.leaves(frozen)} == {"bfloat16"}
    second = export_params(
        load_params(first, config), config, tmp_path / "second", hf_config=hf_config
    )
    one, two = (path / "model.safetensors" for path in (first, second))
    assert one.read_bytes() == two.read_bytes()


def test_companions_travel_and_a_used_directory_is_refused(tmp_path):
    config, params, hf_config = imported("llama")
    source = tmp_path / "source"
    source.mkdir()
    (source / "tokenizer.json").write_text("{}")
    (source / "notes.txt").write_text("not ours")
    out = export_params(params, config, tmp_path / "out", hf_config=hf_config, companions=source)
    assert (out / "tokenizer.json").read_text() == "{}"
    assert not (out / "notes.txt").exists()
    with pytest.raises(UserError, match="holds a model already"):
        export_params(params, config, out, hf_config=hf_config)
    with pytest.raises(UserError, match="layers"):
        export_params(
            params, config, tmp_path / "no", hf_config={**hf_config, "num_hidden_layers": 3}
        )


@pytest.fixture
def copy(tmp_path):
    shutil.copytree(GOLDEN / "llama", tmp_path / "model")
    return tmp_path / "model"


def damage(folder, change):
    path = folder / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.pop("model.norm.weight"), ["model.norm.weight", "missing"]),
        (lambda t: t.update(extra=np.ones(2, np.float32)), ["extra", "no parameter"]),
        (
            lambda t: t.update({"model.norm.weight": np.ones(3, np.float32)}),
            ["model.norm.weight", "(3,)", "(16,)"],
        ),
        (
            lambda t: t.update({"model.norm.weight": np.ones(16, np.int64)}),
            ["model.norm.weight", "I64", "BF16"],
        ),
    ],
)
def test_wrong_tensors_are_named(copy, change, words):
    damage(copy, change)
    with pytest.raises(UserError) as caught:
        load_params(copy, read_config(copy))
    assert all(word in str(caught.value) for word in words), caught.value


def test_truncated_missing_and_absent_files_are_named(copy, tmp_path):
    path = copy / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"model\.safetensors.*truncated"):
        Tensors(copy)
    path.unlink()
    with pytest.raises(UserError, match="holds neither"):
        Tensors(copy)
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors"}}
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match=r"00001-of-00002.*missing"):
        Tensors(copy)
    (copy / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config\.json.*JSON"):
        read_config(copy)
    with pytest.raises(UserError, match="no such file"):
        read_config(tmp_path)


def test_the_host_holds_one_tensor_at_a_time(tmp_path, monkeypatch):
    """Bytes that import has read and not yet let go, at their most."""
    config = DecoderConfig(
        vocab_size=40, width=32, layers=5, heads=2, kv_heads=2, head_size=16, mlp_width=256
    )
    params = init_params(config, jax.random.key(0))
    data = hf_from_config(config, "llama")
    export_params(params, config, tmp_path, hf_config=data, dtype="float32")
    held, most = {}, []
    place = jax.make_array_from_callback

    def watched(shape, sharding, callback):
        def read(index):
            part = callback(index)
            held[id(part)] = part.nbytes
            weakref.finalize(part, held.pop, id(part), None)
            most.append(sum(held.values()))
            return part

        return place(shape, sharding, read)

    monkeypatch.setattr(jax, "make_array_from_callback", watched)
    loaded = load_params(tmp_path, config)
    jax.tree.map(np.testing.assert_array_equal, loaded, params)
    largest = 4 * 32 * 256
    kept = 4 * (40 * 32 + 32)  # embedding and final norm: on a CPU they stay where they were read
    assert len(most) == 2 + 5 * 9
    assert max(most) <= largest + kept
    assert sum(leaf.nbytes for leaf in jax.tree.leaves(loaded)) > 10 * largest


SHARDED = """
import json, sys
import jax, numpy as np
from pathlib import Path
from ppt_jax.models.decoder import init_params
from ppt_jax.models.exchange import export_params, load_params, read_config
from ppt_jax.training.sharding import MeshConfig, make_mesh, parameter_shardings

folder, out = Path(sys.argv[1]), Path(sys.argv[2])
config = read_config(folder)
mesh = make_mesh(MeshConfig(data=2, fsdp=4))
shapes = jax.eval_shape(lambda: init_params(config, jax.random.key(0)))
placed = parameter_shardings(shapes, mesh)
params = load_params(folder, config, shardings=placed)
where = jax.tree.map(lambda leaf: leaf.sharding, params)
assert where == placed, where
assert params["layers"]["gate"].addressable_shards[0].data.shape == (2, 4, 24)
jax.tree.map(np.testing.assert_array_equal, params, load_params(folder, config))
hf_config = json.loads((folder / "config.json").read_text())
export_params(params, config, out, hf_config=hf_config, dtype="float32")
"""


def test_every_device_reads_its_own_slices(tmp_path):
    environment = {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
        "JAX_PLATFORMS": "cpu",
        "PATH": "/usr/bin:/bin",
    }
    run = subprocess.run(
        [sys.executable, "-c", SHARDED, str(GOLDEN / "qwen3"), str(tmp_path / "out")],
        env=environment,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=800,
    )
    assert run.returncode == 0, run.stderr
    before, after = stored(GOLDEN / "qwen3"), stored(tmp_path / "out")
    for name, array in before.items():
        np.testing.assert_array_equal(array, after[name])
