import pytest

from ppt_jax.data.prompts import answer_scale, frame, message
from ppt_jax.data.supports import support_of
from ppt_jax.data.trees import Compiler, answer_paths
from ppt_jax.data.tries import TrieError
from ppt_jax.errors import UserError
from tests.data import examples

CHATML = (
    "{% for m in messages %}"
    "{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def test_scales() -> None:
    assert answer_scale("value", "hours", 5, 40.5, ()) == (
        "Scale from 0 (5 hours) to 100 (40.5 hours)."
    )
    assert answer_scale("value", "", -1, 1.5e6, ()) == "Scale from 0 (-1) to 100 (1500000)."
    assert "from 0 (lowest) to 100 (highest)" in answer_scale("rank", "", 0, 1, ())
    assert answer_scale("chance", "", 0, 1, ()) == "Chance from 0 to 100."
    assert answer_scale("choice", "", 0, 1, ("no", "yes")) == "Options: no, yes."
    with pytest.raises(UserError, match="'odds'"):
        answer_scale("odds", "", 0, 1, ())


@pytest.mark.parametrize("kind", examples.KINDS)
def test_frame_offsets(kind: str) -> None:
    tokenizer = examples.tokenizer_of(kind)
    prompt = frame(tokenizer, "A story.", "Who?", "Options: a, b.")
    assert prompt.text[: prompt.story_end].endswith("A story.")
    assert message("A story.", "Who?", "Options: a, b.") in prompt.text
    chat = tokenizer.chat_template is not None
    assert prompt.text[prompt.tail :] == ("<" if chat else "Answer: <")


def test_chat_template_with_text_after_its_last_special_token() -> None:
    tokenizer = examples.trained("digits")
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.chat_template = CHATML
    prompt = frame(tokenizer, "A story.", "Who?", "Answer.")
    assert prompt.text[prompt.tail :] == "assistant\n<"
    record = examples.records(1, words=8)[0]
    compiler = Compiler(tokenizer)
    for path in answer_paths(compiler.tree(record)):
        if path.ask == 0:
            text = tokenizer.decode(list(path.tokens))
            assert text.endswith(f"<|im_start|>assistant\n<{path.answer}")


def test_template_that_rewrites_the_message_is_refused() -> None:
    tokenizer = examples.trained("digits")
    tokenizer.chat_template = "{{ messages[0]['content'] | upper }}"
    with pytest.raises(UserError, match="rewrites user text"):
        frame(tokenizer, "A story.", "Who?", "Answer.")


def test_merges_across_the_last_line_use_the_whole_prompt() -> None:
    """A tokenizer for which tokenising the last line alone would be wrong."""
    crossing = [("Ċ", "A"), ("ĊA", "n"), (".", "ĊAn"), ("<", "4"), ("1", ">")]
    tokenizer = examples.from_merges(crossing)
    record = examples.records(1, words=8)[0]
    compiler = Compiler(tokenizer)
    tree = compiler.tree(record)
    paths = {(path.ask, path.answer): path for path in answer_paths(tree)}
    for at, ask in enumerate(record.asks):
        scale = answer_scale(ask.kind, ask.unit, ask.low, ask.high, ask.options)
        prompt = frame(tokenizer, record.story, ask.text, scale)
        for k, answer in enumerate(support_of(ask.kind, ask.options).answers):
            tokens = tokenizer(prompt.text + answer + ">", add_special_tokens=False)["input_ids"]
            assert list(paths[at, k].tokens) == tokens[:-1]
    joined = tokenizer.convert_tokens_to_ids(".ĊAn")
    assert joined in paths[0, 7].tokens  # the merge over the line's start did happen


def test_special_token_in_a_story_is_refused() -> None:
    row = examples.row(0)
    row["scenario"]["story"] += " <|end|>"
    from ppt_jax.data.records import record_from_row

    record = record_from_row(row, where="test")
    with pytest.raises(UserError, match=r"scenario train-0000, ask q0.*'<\|end\|>'"):
        Compiler(examples.trained("whole")).tree(record)


def test_unwritable_option_names_scenario_and_ask() -> None:
    from tokenizers import normalizers

    tokenizer = examples.glued()
    tokenizer.backend_tokenizer.normalizer = normalizers.Lowercase()
    with pytest.raises(TrieError, match="scenario train-0000, ask q0: "):
        Compiler(tokenizer).tree(examples.records(1)[0])
