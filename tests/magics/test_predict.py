"""%predict and %%predict as a user types them."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def language_model(tmp_path_factory):
    """The folder of a small language model of our own, with random weights."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    from llm_magics.models.folder.native import save_native
    from llm_magics.nn import CausalLanguageModel

    raw = Tokenizer(models.BPE(unk_token="<unk>"))
    raw.pre_tokenizer, raw.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    special = ["<pad>", "<s>", "</s>", "<unk>"]
    raw.train_from_iterator(
        ["the cat sleeps on the sofa"] * 3,
        trainers.BpeTrainer(vocab_size=60, special_tokens=special, show_progress=False),
    )
    arguments = {
        "vocab_size": raw.get_vocab_size(),
        "d_model": 16,
        "nhead": 2,
        "num_layers": 1,
        "dim_feedforward": 32,
    }
    torch.manual_seed(0)
    return str(
        save_native(
            tmp_path_factory.mktemp("language") / "model",
            CausalLanguageModel(**arguments),
            arguments=arguments,
            task="language-model",
            source_tokenizer=raw,
        )
    )


def test_the_next_word_of_a_line_and_of_a_cell(cells, language_model):
    line = cells.run(f"%predict --model {language_model} --count 3 the cat sleeps")
    cell = cells.run(f"%%predict --model {language_model} --count 3 --out kept\nthe cat sleeps\n")
    assert [one.token_id for one in line.result.next] == [one.token_id for one in cell.result.next]
    assert len(line.result.next) == 3
    assert cells.shell.user_ns["kept"] is cell


def test_a_candidate_that_is_chosen_is_read_by_the_model(cells, language_model):
    from llm_magics import predict

    view = cells.run(f"%predict --model {language_model} --count 4 the cat sleeps")
    chosen = next(i for i, one in enumerate(view.result.next) if one.is_text)
    longer = view.choose(chosen)
    assert longer == "the cat sleeps" + view.result.source_text.removeprefix("the cat sleeps")
    assert longer == view.reading.text == view.result.source_text
    fresh = predict(longer, model=language_model, count=4)
    assert [one.token_id for one in view.result.next] == [one.token_id for one in fresh.next]
    assert [one.probability for one in view.result.tokens] == [
        one.probability for one in fresh.tokens
    ]
    assert view.choose(chosen, 1).startswith(view.result.source_text[: view.result.tokens[1].start])
    view.undo()
    view.undo()
    assert view.text == "the cat sleeps"


def test_marks_are_candidates_that_cannot_be_chosen(cells, language_model):
    view = cells.run(f"%predict --model {language_model} --count 60 the cat sleeps")
    fixed = {
        view.result.next[i].text
        for i in range(len(view.result.next))
        if not view.result.next[i].is_text
    }
    assert fixed == {"<pad>", "<s>", "</s>", "<unk>"}
    assert len([one for one in view.fixed if one[0] == len(view.result.tokens)]) == 4


def test_the_equivalent_python_opens_the_same_view(cells, language_model):
    shown = str(cells.run(f"%predict --code --model {language_model} --count 3 the cat"))
    space = {}
    exec(shown, space)
    assert (
        space["view"].pieces
        == cells.run(f"%predict --model {language_model} --count 3 the cat").pieces
    )


def test_the_default_model_is_a_setting(cells, language_model):
    cells.run(f"%config LLM.predict_model = {language_model!r}")
    assert "your default" in cells.run("%predict the cat").result.provenance.why


def test_rows(cells, language_model):
    cells.shell.user_ns["rows"] = ["the cat", "the sofa"]
    assert len(cells.run(f"%predict --each rows --model {language_model}")) == 2
