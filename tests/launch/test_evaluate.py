"""launch.evaluate on a model directory, and launch.report on what it left."""

import json
import pathlib
import subprocess
import sys

import jax
import pytest

from ppt_jax.data.tokenizer import TokenizerConfig, save_tokenizer, train_tokenizer
from ppt_jax.evaluation.item_files import read_items
from ppt_jax.evaluation.results import read_results
from ppt_jax.models.architecture import DecoderConfig
from ppt_jax.models.decoder import init_params
from ppt_jax.models.exchange import export_params
from ppt_jax.models.families import hf_from_config

ROOT = pathlib.Path(__file__).parents[2]
READOUTS = "trie,letters,likelihood,sampling,verbalised"


def run(*flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *flags]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=800)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A small random model in the Hugging Face layout, and questions of two subsets."""
    folder = tmp_path_factory.mktemp("models")
    story = "The ferry bell rang 42 times. Answer in angle brackets. Options: A, B, C. Which?"
    tokenizer = train_tokenizer([story] * 3, TokenizerConfig(vocab_size=420))
    config = DecoderConfig(
        vocab_size=len(tokenizer),
        width=16,
        layers=1,
        heads=2,
        kv_heads=1,
        head_size=8,
        mlp_width=32,
        tied_embeddings=False,
    )
    save_tokenizer(tokenizer, folder / "toy")
    params = init_params(config, jax.random.key(0))
    document = hf_from_config(config, "llama")
    export_params(params, config, folder / "toy", hf_config=document, dtype="float32")
    data = folder / "data"
    data.mkdir()
    for subset in ("birds", "boats"):
        rows = [
            {
                "id": f"{subset}{k}",
                "question": f"{subset} {k}: which one sings?",
                "choices": ["the owl", "the bell", f"number {k}"],
                "answer": k % 3,
            }
            for k in range(8)
        ]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (data / f"{subset}.jsonl").write_text(text)
    return folder


@pytest.mark.slow
def test_a_model_directory_on_choices_by_every_readout(place: pathlib.Path) -> None:
    out = place / "out"
    flags = [
        *("launch.evaluate", f"--model={place / 'toy'}", "--benchmark=choice_sets"),
        *(f"--data_dir={place / 'data'}", f"--readout={READOUTS}", "--samples=4", "--tokens=4"),
        *("--limit=5", "--replicates=20", f"--out={out}"),
    ]
    done = run(*flags)
    assert done.returncode == 0, done.stderr
    results = read_results(out)
    items = list(read_items(out / "items.jsonl"))
    assert len(items) == 10
    assert {item.split for item in items} == {"birds", "boats"}
    readouts = {row["readout"] for row in results.rows}
    assert readouts >= {
        *("trie", "letters", "sampling", "verbalised"),
        *("likelihood", "likelihood_per_token", "likelihood_per_byte"),
    }
    agreement = {row["metric"] for row in results.rows if row["params"].get("with") == "trie"}
    assert agreement == {"readout_tv", "readout_same_mode"}
    for row in results.rows:
        if row["readout"] == "verbalised":
            assert row["n_parse_fail"] <= row["n"]
    assert "<table" in (out / "report.html").read_text()
    first = {path.name: path.read_bytes() for path in out.glob("*.json*")}
    lost = sorted((out / "shards").rglob("*000000.jsonl"))[0]
    kept = lost.read_bytes()
    lost.unlink()  # as if the run had been cut off there
    assert run(*flags).returncode == 0
    assert lost.read_bytes() == kept
    assert {path.name: path.read_bytes() for path in out.glob("*.json*")} == first
    page = (out / "report.md").read_bytes()
    again = run("launch.report", str(out), f"--out={out / 'again'}")
    assert again.returncode == 0, again.stderr
    assert "report: " in again.stdout
    assert page


@pytest.mark.slow
def test_wrong_flags_are_named(place: pathlib.Path) -> None:
    base = ["launch.evaluate", f"--model={place / 'toy'}", f"--out={place / 'bad'}"]
    data = [*base, "--benchmark=choice_sets", f"--data_dir={place / 'data'}"]
    for flags, words in (
        (base, "--benchmark=NAME is missing"),
        ([*base, "--benchmark=choice_setz"], "did you mean 'choice_sets'"),
        ([*data, "--splits=fish"], "--splits=fish: benchmark 'choice_sets' has none of it"),
        ([*data, "--readout=guess"], "--readout=guess: known are trie"),
        ([*data, "--model=nowhere"], "nowhere: no model here"),
    ):
        done = run(*flags)
        assert done.returncode == 2, done.stderr
        assert words in done.stderr
        assert "Traceback" not in done.stderr
