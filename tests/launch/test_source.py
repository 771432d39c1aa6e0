"""A run that starts from a model directory and leaves one behind."""

import json
import pathlib
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from launch.source import model_config, source_fingerprint
from ppt_jax.data.tokenizer import TokenizerConfig, load_tokenizer, save_tokenizer, train_tokenizer
from ppt_jax.errors import UserError
from ppt_jax.models.adapters import joined as join
from ppt_jax.models.adapters import load_adapter, merged, read_adapter_config
from ppt_jax.models.architecture import DecoderConfig
from ppt_jax.models.decoder import init_params
from ppt_jax.models.exchange import export_params, load_params, read_config
from ppt_jax.models.families import hf_from_config
from tests.launch.test_pipeline import ROOT

SHAPE = {"vocab_size": 0, "width": 16, "layers": 1, "heads": 2, "kv_heads": 1, "head_size": 8}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A tiny Qwen3 with digit-by-digit numbers and more embedding rows than tokens."""
    folder = tmp_path_factory.mktemp("source")
    story = "Ida and Juno counted 42 boats. What is the chance? Answer in angle brackets. <42>"
    tokenizer = train_tokenizer([story] * 3, TokenizerConfig(vocab_size=400, numbers="digits"))
    config = DecoderConfig(
        **{**SHAPE, "vocab_size": len(tokenizer) + 5}, mlp_width=32, query_key_norm=True
    )
    params = init_params(config, jax.random.key(3))
    data = hf_from_config(config, "qwen3")
    export_params(params, config, folder, hf_config=data, dtype="float32")
    save_tokenizer(tokenizer, folder / "words")
    for path in (folder / "words").iterdir():
        path.rename(folder / path.name)
    (folder / "words").rmdir()
    return folder


def run(module: str, workdir: pathlib.Path, *more: str, **settings: object):
    flags = [f"--config.{name}={value}" for name, value in settings.items()]
    command = [sys.executable, "-m", module, "--config=tests/launch/from_source.py"]
    command += [f"--workdir={workdir}", *more, *flags]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=800)


@pytest.mark.slow
def test_adapters_on_a_model_directory_go_all_the_way_and_out_again(
    source: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    base = {"source.path": source}
    done = run("launch.pipeline", tmp_path / "run", **base)
    assert done.returncode == 0, done.stderr
    assert len(load_tokenizer(tmp_path / "run" / "tokenizer")) == len(load_tokenizer(source))
    models = {
        row["model"]
        for row in json.loads((tmp_path / "run" / "results.json").read_text())["metrics"]
    }
    assert {"before", "after"} <= models
    for name, merge in (("adapter", "--nomerge"), ("whole", "--merge")):
        out = run("launch.export", tmp_path / "run", f"--out={tmp_path / name}", merge, **base)
        assert out.returncode == 0, out.stderr
    plain = read_config(source)
    config = read_adapter_config(tmp_path / "adapter", plain)
    frozen = load_params(source, plain)
    expected, _ = merged(join(load_adapter(tmp_path / "adapter", config), frozen), config)
    whole = load_params(tmp_path / "whole", read_config(tmp_path / "whole"))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=2e-2 * float(np.abs(b).max())),
        whole,
        expected,
    )
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), whole, frozen)["layers"]
    assert moved["query"]
    assert not moved["attention_norm"]
    assert load_tokenizer(tmp_path / "whole").encode("<42>") == load_tokenizer(source).encode(
        "<42>"
    )
    again = run("launch.export", tmp_path / "run", f"--out={tmp_path / 'whole'}", "--merge", **base)
    assert again.returncode == 2
    assert "holds a model already" in again.stderr


def test_other_weights_of_the_same_size_are_another_source(
    source: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """A base model and its chat version have the same shapes; adapters belong to one of them."""
    copy = tmp_path / "copy"
    shutil.copytree(source, copy)
    config = ConfigDict({"source": {"path": str(source)}})
    twin = ConfigDict({"source": {"path": str(copy)}})
    assert source_fingerprint(config) == source_fingerprint(twin)
    path = copy / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    assert source_fingerprint(config) != source_fingerprint(twin)
    assert source_fingerprint(ConfigDict({})) == {}


def test_what_the_directory_settles_cannot_be_chosen(
    source: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    chosen = ConfigDict({"source": {"path": str(source)}, "model": {"head_size": 4}})
    with pytest.raises(UserError, match=r"model\.head_size.*config\.json"):
        model_config(chosen, 1)
    chosen.model = {"dropout": 0.1}
    assert model_config(chosen, 1).dropout == 0.1
    with pytest.raises(UserError, match="vocab_size"):
        model_config(chosen, 10_000)
    for settings, words in (
        ({"source.path": tmp_path}, ["config.json", "no such file"]),
        ({"source.path": source, "source.dtype": "int8"}, ["source.dtype", "bfloat16"]),
    ):
        done = run("launch.dataset", tmp_path / "run", **settings)
        assert done.returncode == 2, done.stderr
        assert all(word in done.stderr for word in words), done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
