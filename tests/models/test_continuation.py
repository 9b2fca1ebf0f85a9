"""Open text: the distribution of what is drawn, seeds, stop strings, and every family beside its
own greedy decoding."""

from __future__ import annotations

import pytest
import torch

from llm_magics.errors import DoesNotFit, InputError, TooLong, WrongTask
from llm_magics.models.generate import types
from llm_magics.models.generate.sample import continue_texts
from llm_magics.models.generate.sampling import RandomStreams, SamplingParams, choose_tokens
from llm_magics.models.generate.stop_strings import first_stop, held_back
from llm_magics.models.generate.types import SamplingOptions
from llm_magics.models.manager.manager import ModelManager

TEXT = "The cat sat on the mat."
FREE = SamplingParams(temperature=1.0)


@pytest.fixture(scope="module")
def manager():
    manager = ModelManager(device="cpu")
    yield manager
    assert manager.check() == []
    manager.close()


def house_language_model(folder, *, trained_tokens=None, recurrent=False, **changes):
    """A language model of ours with random weights: letters and spaces, no end in sight."""
    from llm_magics.models.folder.native import save_native
    from llm_magics.nn import CausalLanguageModel, RecurrentLanguageModel
    from llm_magics.training.data.tokenizer import train_tokenizer
    from llm_magics.training.recipe.recipe import Tokenizer

    raw = train_tokenizer([TEXT, "A dog runs."], Tokenizer(kind="char", vocab_size=60))
    size = raw.get_vocab_size()
    torch.manual_seed(3)
    if recurrent:
        arguments = {"vocab_size": size, "embedding_size": 8, "hidden_size": 16}
        module = RecurrentLanguageModel(**arguments)
    else:
        arguments = {
            "vocab_size": size,
            "d_model": 16,
            "nhead": 2,
            "num_layers": 2,
            "dim_feedforward": 32,
            "shared_embeddings": False,
            **changes,
        }
        module = CausalLanguageModel(**arguments)
    with torch.no_grad():
        for weight in module.parameters():
            weight.mul_(3 if weight.dim() > 1 else 1)
        module.generator.bias[2] -= 12  # texts that do not end at once
    return save_native(
        folder,
        module,
        arguments=arguments,
        task="language-model",
        source_language="en",
        target_language="en",
        source_tokenizer=raw,
        trained_tokens=trained_tokens,
    )


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    return house_language_model(tmp_path_factory.mktemp("house") / "letters")


def written(model, text=TEXT, *, seed=1, stop=None, on_text=None, **wanted):
    return continue_texts(
        model, [text], SamplingOptions(**wanted), seeds=[seed], stop=stop, on_text=on_text
    )[0]


def test_tokens_come_as_often_as_their_probability_says():
    torch.manual_seed(0)
    logits = torch.randn(12)
    draws = 6000
    dice = RandomStreams([(7, i) for i in range(draws)])
    chosen = choose_tokens(
        logits.expand(draws, -1), SamplingParams(temperature=0.7), dice, range(draws)
    )
    counts = torch.bincount(chosen, minlength=12).double()
    expected = (logits.double() / 0.7).softmax(-1) * draws
    assert (
        (counts - expected) ** 2 / expected
    ).sum() < 31.3  # χ² of 11 degrees: exceeded once in 1,000 times


@pytest.mark.parametrize(
    ("drawing", "allowed"),
    [
        (SamplingParams(temperature=1.0, top_k=2), {0, 1}),
        (
            SamplingParams(temperature=1.0, top_p=0.6),
            {0, 1},
        ),  # 0.5 + 0.25 is the least that makes up 0.6
        (SamplingParams(temperature=1.0, top_p=0.4), {0}),
        (SamplingParams(temperature=1.0), {0, 1, 2, 3}),
        (SamplingParams(), {0}),
    ],
)
def test_only_likely_tokens_are_drawn(drawing, allowed):
    logits = torch.tensor([0.5, 0.25, 0.15, 0.10]).log().expand(400, -1)
    dice = RandomStreams([(1, i) for i in range(400)])
    assert set(choose_tokens(logits, drawing, dice, range(400)).tolist()) == allowed


@pytest.mark.parametrize(
    "values",
    [
        {"temperature": -1},
        {"temperature": "hot"},
        {"temperature": float("nan")},
        {"top_p": 0},
        {"top_p": 1.5},
        {"top_k": -1},
        {"top_k": 2.5},
        {"temperature": True},
    ],
)
def test_values_without_meaning_are_refused(values):
    with pytest.raises(InputError, match=next(iter(values))):
        SamplingParams(**values)


def test_the_seed_alone_decides_whatever_else_draws(models, manager):
    with manager.lease(models("llama")) as model:
        torch.manual_seed(1)
        first = written(model, params=FREE, max_new_tokens=20)[0].text
        torch.manual_seed(2)
        state = torch.get_rng_state()
        assert written(model, params=FREE, max_new_tokens=20)[0].text == first
        assert torch.equal(torch.get_rng_state(), state)
        assert written(model, params=FREE, max_new_tokens=20, seed=2)[0].text != first


@pytest.mark.parametrize("family", ["llama", "house"])
def test_a_candidate_is_the_same_whatever_is_written_beside_it(models, manager, house, family):
    with manager.lease(house if family == "house" else models(family)) as model:
        many = written(model, params=FREE, max_new_tokens=15, count=3)
        assert len({one.text for one in many}) == 3
        assert written(model, params=FREE, max_new_tokens=15)[0] == many[0]
        both = continue_texts(
            model, ["A dog", TEXT], SamplingOptions(params=FREE, max_new_tokens=15), seeds=[4, 1]
        )
        assert both[1] == [many[0]]


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_temperature_zero_is_what_transformers_finds_most_probable(models, manager, family):
    with manager.lease(models(family)) as model:
        found = written(model, max_new_tokens=20)[0]
        inputs = model.tokenizer(TEXT, return_tensors="pt")
        inputs.pop("token_type_ids", None)
        row = model.module.generate(**inputs, do_sample=False, num_beams=1, max_new_tokens=20)[
            0
        ].tolist()
        start = inputs["input_ids"].shape[1] if model.kind == "causal" else 1
        everything = (
            [*inputs["input_ids"][0].tolist(), *row[start:]]
            if model.kind == "causal"
            else row[start:]
        )
        whole = model.tokenizer.decode(
            everything, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        assert (TEXT if model.kind == "causal" else "") + found.text == whole
        ended = row[-1] == model.module.generation_config.eos_token_id
        assert found.finish == ("end" if ended else "length")
        assert found.n_tokens == len(row) - start


@pytest.mark.parametrize("recurrent", [False, True])
def test_a_model_of_ours_writes_what_its_logits_say_step_by_step(manager, tmp_path, recurrent):
    with manager.lease(house_language_model(tmp_path / "letters", recurrent=recurrent)) as model:
        found = written(model, max_new_tokens=25)[0]
        tokens, expected = model.tokenizer.encode_source([TEXT])[0][:-1], []
        while len(expected) < 25:
            with torch.no_grad():
                logits = model.module(torch.tensor([[*tokens, *expected]]))[0, -1]
            logits[[0, 1, 3]] = -torch.inf
            token = int(logits.argmax())
            if token == model.tokenizer.special["eos"]:
                break
            expected.append(token)
        assert found.text == model.tokenizer.decode_target(expected)
        assert found.finish == ("length" if len(expected) == 25 else "end")


def test_a_text_longer_than_the_model_can_look_back_on_goes_on(manager, tmp_path):
    with manager.lease(house_language_model(tmp_path / "short", max_positions=12)) as model:
        assert model.context_tokens == 12
        found = written(model, params=FREE, max_new_tokens=60, seed=5)[0]
        assert found.finish == "end" or found.n_tokens == 60
        assert len(TEXT) + len(found.text) > 24
    with manager.lease(house_language_model(tmp_path / "trained", trained_tokens=20)) as model:
        assert model.context_tokens == 20
    with manager.lease(house_language_model(tmp_path / "recurrent", recurrent=True)) as model:
        assert model.context_tokens is None


def test_a_text_ends_right_before_a_stop_string_and_no_later_token_is_computed(models, manager):
    with manager.lease(models("llama")) as model:
        whole = written(model, params=FREE, max_new_tokens=40)[0]
        pieces = [
            model.tokenizer.decode([token]) for token in model.tokenizer(whole.text)["input_ids"]
        ]
        assert len(pieces) > 15
        stop = whole.text[11:16]  # lies across tokens, which are shorter
        assert not any(stop in piece for piece in pieces)
        found = written(model, params=FREE, max_new_tokens=40, stops=("never there", stop))[0]
        assert found.text == whole.text[: whole.text.find(stop)]
        assert (found.finish, found.stopped_by) == ("stop string", stop)
        assert found.n_tokens < whole.n_tokens


def test_candidates_end_one_by_one(models, manager):
    with manager.lease(models("llama")) as model:
        many = written(model, params=FREE, max_new_tokens=30, count=4)
        stop = many[2].text[5:8]
        cut = written(model, params=FREE, max_new_tokens=30, count=4, stops=(stop,))
        assert cut[2].finish == "stop string"
        for before, after in zip(many, cut, strict=True):
            assert after.text == before.text.split(stop)[0]


def test_what_is_shown_meanwhile_only_grows_and_holds_no_half_stop_string(
    models, manager, monkeypatch
):
    monkeypatch.setattr(types.Throttle, "due", lambda self: True)
    with manager.lease(models("llama")) as model:
        stop = written(model, params=FREE, max_new_tokens=40)[0].text[11:16]
        shown = []
        found = written(
            model,
            params=FREE,
            max_new_tokens=40,
            stops=(stop,),
            on_text=lambda s, c, text: shown.append(text),
        )[0]
        assert len(shown) == found.n_tokens
        assert all(
            later.startswith(earlier)
            for earlier, later in zip(shown, [*shown[1:], found.text], strict=True)
        )


def test_stopping_keeps_what_there_is(models, manager, house):
    for folder in (models("llama"), house):
        with manager.lease(folder) as model:
            asked = []

            def stop(asked=asked):
                asked.append(True)
                return len(asked) > 6

            found = written(model, params=FREE, max_new_tokens=200, stop=stop)[0]
            assert found.finish == "interrupted"
            assert 0 < found.n_tokens < 10


def test_rows_that_do_not_fit_together_are_written_in_halves(models, manager, monkeypatch):
    from llm_magics.models.backends.hf import sample as continue_transformers

    real, sizes = continue_transformers.write_rows, []

    def small(model, rows, *rest):
        sizes.append(len(rows))
        if len(rows) > 1:
            rows[0].take(5)
            raise MemoryError
        real(model, rows, *rest)

    with manager.lease(models("llama")) as model:
        expected = written(model, params=FREE, max_new_tokens=10, count=3)
        monkeypatch.setattr(continue_transformers, "write_rows", small)
        assert written(model, params=FREE, max_new_tokens=10, count=3) == expected
        assert sizes == [3, 2, 1, 1, 1]
        monkeypatch.setattr(
            continue_transformers, "write_rows", lambda *_: (_ for _ in ()).throw(MemoryError())
        )
        with pytest.raises(DoesNotFit, match="too little memory left for one text alone"):
            written(model, max_new_tokens=10)


def test_what_cannot_be_written_is_refused(models, manager):
    for family, said in (
        ("bert", "encodes text"),
        ("marian", "translates, it does not"),
        ("house", "use %%translate"),
    ):
        with manager.lease(models(family)) as model, pytest.raises(WrongTask, match=said):
            written(model)
    with manager.lease(models("llama")) as model, pytest.raises(TooLong):
        written(model, "a dog " * 200)


def test_a_prompt_nearly_as_long_as_the_window_ends_at_its_end(models, manager):
    with manager.lease(models("llama")) as model:
        text = "a dog " * 60
        room = 256 - len(model.tokenizer(text)["input_ids"])
        assert 0 < room < 200
        found = written(model, text, params=FREE, max_new_tokens=250, seed=3)[0]
        assert found.n_tokens == room or found.finish == "end"


def test_the_first_of_several_stop_strings_counts():
    assert first_stop("one two three", ("three", "two")) == (4, "two")
    assert first_stop("ab", ("a", "ab")) == (0, "ab")
    assert first_stop("one", ("two",)) is None
    assert held_back("and the E", ("END",)) == "and the "
    assert held_back("and the EN", ("END", "N.")) == "and the "
    assert held_back("and the EM", ("END",)) == "and the EM"
    assert held_back("caf\ufffd", ()) == "caf"
