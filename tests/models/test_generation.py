"""Batched generation equals one-by-one `generate` of transformers, token for token, for every
family."""

from __future__ import annotations

import pytest
import torch

from llm_magics.errors import DoesNotFit, InputError, TooLong, UnknownLanguage, WrongTask
from llm_magics.models.generate.batches import bucketed
from llm_magics.models.generate.generate import count_tokens, generate
from llm_magics.models.manager.manager import ModelManager

TEXTS = [
    "The cat sat on the mat.",
    "No.",
    "We read a good book about the sea and she plays the piano in the park.",
    "Where is the station?",
    "It is raining again today.",
    "I do not know a dog.",
    "A cat runs.",
]
LANGUAGES = {"m2m_100": ("en", "de"), "nllb": ("eng_Latn", "deu_Latn")}
FAMILIES = ["marian", "m2m_100", "nllb", "t5", "bart", "pegasus", "llama"]


@pytest.fixture(scope="module")
def manager():
    manager = ModelManager(device="cpu")
    yield manager
    assert manager.check() == []
    manager.close()


def languages_for(family):
    return {"source_language": "en", "target_language": "de"} if family in LANGUAGES else {}


def one_by_one(model, family, texts, **options):
    """New tokens of every text, by the plain way of transformers: no batch, no padding."""
    options = {"do_sample": False, "num_beams": 1, "max_new_tokens": 24} | options
    tokenizer, rows = model.tokenizer, []
    if family in LANGUAGES:
        source, target = LANGUAGES[family]
        tokenizer.src_lang = source
        token = f"__{target}__" if family == "m2m_100" else target
        options["forced_bos_token_id"] = tokenizer.convert_tokens_to_ids(token)
    for text in texts:
        inputs = tokenizer(text, return_tensors="pt")
        inputs.pop("token_type_ids", None)
        row = model.module.generate(**inputs, **options)[0].tolist()
        row = row[inputs["input_ids"].shape[1] if model.kind == "causal" else 1 :]
        end = model.module.generation_config.eos_token_id
        rows.append(tuple(row[: row.index(end)] if end in row else row))
    return rows


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_batches_equal_transformers_token_for_token(models, manager, family):
    with manager.lease(models(family)) as model:
        written = generate(
            model, TEXTS, max_new_tokens=24, token_budget=40, **languages_for(family)
        )
        expected = one_by_one(model, family, TEXTS)
        assert [item.token_ids for item in written] == expected
        assert all(item.finished for item in written)
        assert [item.n_source_tokens for item in written] == count_tokens(model, TEXTS)


@pytest.mark.parametrize("family", FAMILIES)
def test_beam_search_equals_transformers_token_for_token(models, manager, family):
    with manager.lease(models(family)) as model:
        written = generate(model, TEXTS[:4], max_new_tokens=8, num_beams=3, **languages_for(family))
        assert [item.token_ids for item in written] == one_by_one(
            model, family, TEXTS[:4], num_beams=3, max_new_tokens=8
        )


def test_texts_end_at_different_lengths_in_these_tests(models, manager):
    with manager.lease(models("bart")) as model:
        lengths = {item.n_new_tokens for item in generate(model, TEXTS, max_new_tokens=24)}
    assert len(lengths) > 1


@pytest.mark.parametrize("family", ["marian", "llama"])
@pytest.mark.parametrize(
    "extra", [{}, {"renormalize_logits": True, "exponential_decay_length_penalty": (30, 1.1)}]
)
def test_each_source_may_have_its_own_limit(models, manager, family, extra):
    limits = [3, 24, 1, 7, 12, 5, 9]
    with manager.lease(models(family)) as model:
        whole = generate(model, TEXTS, max_new_tokens=24, extra=extra)
        written = generate(model, TEXTS, max_new_tokens=limits, extra=extra)
        for own, alone, limit in zip(written, whole, limits, strict=True):
            assert own.token_ids in (
                alone.token_ids[:limit],
                alone.token_ids[: limit - 1],
            )  # Marian's last one is forced
            assert own.n_new_tokens == min(alone.n_new_tokens, limit)
        with pytest.raises(InputError, match="2 limits of new tokens for 7 sources"):
            generate(model, TEXTS, max_new_tokens=[3, 4])
        with pytest.raises(InputError, match="max_new_tokens must be at least 1"):
            generate(model, TEXTS[:2], max_new_tokens=[3, 0])
    with (
        manager.lease(models("house")) as model,
        pytest.raises(InputError, match="one max_new_tokens for all"),
    ):
        generate(model, TEXTS[:2], max_new_tokens=[3, 4])


def test_the_authors_settings_hold_unless_something_else_is_asked_for(models, manager):
    with manager.lease(
        models("bart")
    ) as model:  # its authors say min_length=8, no_repeat_ngram_size=3
        written = generate(model, TEXTS)
        assert all(8 <= item.n_new_tokens + 1 <= 20 for item in written)
        for item in written:
            trigrams = list(
                zip(item.token_ids, item.token_ids[1:], item.token_ids[2:], strict=False)
            )
            assert len(trigrams) == len(set(trigrams))
        assert {
            item.n_new_tokens for item in generate(model, TEXTS, max_new_tokens=3, min_new_tokens=3)
        } == {3}


def test_a_house_model_in_batches_equals_itself_one_by_one(models, manager):
    with manager.lease(models("house")) as model:
        together = generate(model, TEXTS, max_new_tokens=12)
        alone = [generate(model, [text], max_new_tokens=12)[0] for text in TEXTS]
        assert [item.token_ids for item in together] == [item.token_ids for item in alone]
        assert together[0].text == model.tokenizer.decode_target(together[0].token_ids)


@pytest.mark.parametrize("family", ["marian", "house"])
def test_texts_stream_and_the_last_call_is_final(models, manager, family, monkeypatch):
    monkeypatch.setattr("llm_magics.models.generate.types.STREAM_EVERY_S", 0.0)
    calls = []
    with manager.lease(models(family)) as model:
        written = generate(
            model, TEXTS, max_new_tokens=10, on_text=lambda *call: calls.append(call)
        )
    for index, item in enumerate(written):
        mine = [call for call in calls if call[0] == index]
        assert [final for _, _, final in mine] == [False] * (len(mine) - 1) + [True]
        assert mine[-1][1] == item.text
        assert len(mine) > 2
        assert len(mine[0][1]) <= len(mine[-2][1])


def test_beams_that_come_with_the_further_settings_stream_nothing_but_the_end(
    models, manager, monkeypatch
):
    monkeypatch.setattr("llm_magics.models.generate.types.STREAM_EVERY_S", 0.0)
    calls = []
    with manager.lease(models("marian")) as model:
        written = generate(
            model,
            TEXTS,
            max_new_tokens=10,
            extra={"num_beams": 3},
            on_text=lambda *call: calls.append(call),
        )
        assert written == generate(model, TEXTS, max_new_tokens=10, num_beams=3)
    assert sorted(calls) == [(index, item.text, True) for index, item in enumerate(written)]


@pytest.mark.parametrize("family", ["marian", "llama", "house"])
def test_stopping_gives_back_what_there_is(models, manager, family):
    asked = []

    def stop():
        asked.append(True)
        return len(asked) > 5

    with manager.lease(models(family)) as model:
        written = generate(model, TEXTS, max_new_tokens=24, token_budget=8, stop=stop)
        assert len(written) == len(TEXTS)
        unfinished = [item for item in written if not item.finished]
        assert unfinished
        assert any(item.token_ids == () for item in unfinished)
        again = generate(model, TEXTS, max_new_tokens=4)
        assert all(item.finished for item in again)


def test_running_out_of_memory_halves_the_batch_and_changes_no_result(models, manager, monkeypatch):
    with manager.lease(models("marian")) as model:
        expected = [item.token_ids for item in generate(model, TEXTS, max_new_tokens=8)]
        encoder, sizes = model.module.get_encoder(), []

        def short_of_memory(**kwargs):
            sizes.append(len(kwargs["input_ids"]))
            if sizes[-1] > 2:
                raise torch.OutOfMemoryError("out of memory")
            return encoder(**kwargs)

        monkeypatch.setattr(model.module, "get_encoder", lambda: short_of_memory)
        assert [item.token_ids for item in generate(model, TEXTS, max_new_tokens=8)] == expected
        assert max(sizes) == len(TEXTS)

        def no_memory(**kwargs):
            try:
                raise torch.OutOfMemoryError("out of memory")
            except torch.OutOfMemoryError:
                raise RuntimeError("the real reason is my context")  # noqa: B904

        monkeypatch.setattr(model.module, "get_encoder", lambda: no_memory)
        with pytest.raises(DoesNotFit, match="too little memory"):
            generate(model, TEXTS)


def test_a_chat_model_reads_messages_through_its_own_template(models, manager):
    with manager.lease(models("llama")) as model:
        assert model.is_chat
        messages = [{"role": "user", "content": "Where is {{ 6 * 7 }} <b>the cat</b>?"}]
        [written] = generate(model, [messages], max_new_tokens=6)
        prompt = model.tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True
        )
        ids = model.tokenizer(prompt, add_special_tokens=False, return_tensors="pt")["input_ids"]
        row = model.module.generate(ids, do_sample=False, max_new_tokens=6)[
            0, ids.shape[1] :
        ].tolist()
        assert list(written.token_ids) == row[: len(written.token_ids)]
        assert written.n_source_tokens == ids.shape[1]
        assert (
            generate(model, ["plain"], max_new_tokens=2)[0].n_source_tokens
            < written.n_source_tokens
        )


def test_a_marian_model_of_several_languages_gets_its_prefix(manager, builders, tmp_path):
    folder = builders["marian"](tmp_path / "opus-mt-en-gem", (">>deu<<", ">>nld<<"))
    with manager.lease(folder) as model:
        assert model.languages == ("deu", "nld")
        assert (model.source_language, model.target_language) == ("en", None)
        assert count_tokens(model, ["A cat."]) == [len(model.tokenizer("A cat.")["input_ids"])]
        [german] = generate(model, ["A cat."], target_language="de", max_new_tokens=6)
        [dutch] = generate(model, ["A cat."], target_language="nl", max_new_tokens=6)
        assert (
            german.n_source_tokens
            == dutch.n_source_tokens
            == count_tokens(model, ["A cat."])[0] + 1
        )
        with pytest.raises(UnknownLanguage, match="say which"):
            generate(model, ["A cat."])
        with pytest.raises(UnknownLanguage, match="French"):
            generate(model, ["A cat."], target_language="fr")


def test_sampling_settings_go_through_and_unknown_ones_are_named(models, manager):
    with manager.lease(models("llama")) as model:
        torch.manual_seed(0)
        drawn = {
            generate(
                model, TEXTS[:1], max_new_tokens=8, extra={"do_sample": True, "temperature": 5.0}
            )[0].token_ids
            for _ in range(5)
        }
        assert len(drawn) > 1
        with pytest.raises(InputError, match="temprature"):
            generate(model, TEXTS, extra={"temprature": 1.0})


def test_house_models_search_with_beams_the_same_in_a_batch_as_alone(models, manager):
    with manager.lease(models("house")) as model:
        together = generate(model, TEXTS, num_beams=3, max_new_tokens=12)
        alone = [generate(model, [text], num_beams=3, max_new_tokens=12)[0] for text in TEXTS]
    assert [one.token_ids for one in together] == [one.token_ids for one in alone]


def test_what_a_model_cannot_do_is_said_before_it_starts(models, manager):
    with manager.lease(models("bert")) as model, pytest.raises(WrongTask, match="encodes"):
        generate(model, TEXTS)
    with manager.lease(models("t5")) as model, pytest.raises(WrongTask, match="chat template"):
        generate(model, [[{"role": "user", "content": "x"}]])
    with manager.lease(models("house")) as model:
        with pytest.raises(WrongTask, match="does not sample; leave out do_sample"):
            generate(model, TEXTS, extra={"do_sample": True})
        with pytest.raises(UnknownLanguage, match="writes German, not French"):
            generate(model, TEXTS, target_language="fr")
    with manager.lease(models("m2m_100")) as model:
        with pytest.raises(UnknownLanguage, match="say which"):
            generate(model, TEXTS)
        with pytest.raises(UnknownLanguage, match="Basque"):
            generate(model, TEXTS, source_language="en", target_language="eu")
    with manager.lease(models("marian")) as model:
        with pytest.raises(TooLong, match="text 2 of 2"):
            generate(model, ["cat", "cat " * 400])
        with pytest.raises(InputError, match="num_beams"):
            generate(model, TEXTS, num_beams=0)


@pytest.mark.parametrize("family", ["marian", "m2m_100", "t5", "llama", "house"])
def test_hostile_text_is_only_text(models, manager, family):
    texts = [
        "\ud800 lone",
        "nul \x00 here",
        "<script>alert(1)</script>",
        "שלום עולם",
        "👩‍👩‍👧‍👦",
        "{curly} 'quotes'",
        "\u202eabc",
    ]
    with manager.lease(models(family)) as model:
        written = generate(model, texts, max_new_tokens=3, **languages_for(family))
    assert len(written) == len(texts)
    assert all(item.n_new_tokens for item in written)


def test_no_sources_give_no_results(models, manager):
    with manager.lease(models("marian")) as model:
        assert generate(model, []) == []


def test_buckets_keep_the_budget_and_every_sentence():
    lengths = [5, 60, 1, 1, 33, 32, 7, 200]
    batches = bucketed(lengths, 64)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[index] for index in batch) <= 64
    assert batches[0] == [7]
    assert bucketed([], 64) == []
    assert bucketed([0, 0], 64) == [[0, 1]]
