"""Records the journal that the tests of the LLM author replay: offline answers with flaws.

    python -m scripts.make_llm_journal

To be run again when prompts, schemas, plans or the motifs named here change: the keys of requests
are hashes of their words. No language model is asked.
"""

import pathlib
import tempfile

from ppt_jax.authoring.agreement import AgreementConfig
from ppt_jax.authoring.backends.journal import Journal
from ppt_jax.authoring.backends.offline import OfflineBackend
from ppt_jax.authoring.checks import CheckConfig
from ppt_jax.authoring.llm.author import author_with_llm, summary_lines
from ppt_jax.authoring.llm.config import LLMAuthorConfig
from ppt_jax.authoring.llm.offline import OfflineAnswers

PATH = pathlib.Path(__file__).parents[1] / "tests" / "authoring" / "llm" / "answers.jsonl"
CONFIG = LLMAuthorConfig(
    model="recorded",
    train_size=8,
    motifs=("signal_detection", "regression_to_mean", "tug_of_war", "witness_reliability"),
    held_out_motifs=(),
    held_out_family="",
    domains=("a lock-keeper's canal stretch", "a tea estate", "a bell foundry"),
    personas=("a sceptical inspector", "a nurse on the late shift"),
    genres=("plain", "log", "letter"),
    attempts=1,
    repairs=1,
    retries=1,
    asides=(0, 1),
    programs_per_story=2,
    checks=CheckConfig(particles=2048, max_words=300),
    agreement=AgreementConfig(min_ess=1000),
)
FLAWS = {
    "wrapped": 0.2,
    "invalid_json": 0.1,
    "cut": 0.05,
    "refusal": 0.05,
    "misspelt_name": 0.15,
    "missing_span": 0.15,
    "markup": 0.1,
    "misread": 0.3,
}


def main() -> None:
    PATH.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder, Journal(PATH) as journal:
        backend = OfflineBackend(OfflineAnswers(FLAWS, seed=3), journal=journal)
        print(summary_lines(author_with_llm(CONFIG, backend, folder, silent=True)))
    print(f"{PATH}: {PATH.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
