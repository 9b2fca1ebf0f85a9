"""Induction: a two-layer circuit written by hand is found where it is, and nowhere else."""

from __future__ import annotations

import pytest
import torch

from llm_magics.attention.measures import (
    MEASURES,
    MODEL_MEASURES,
    induction_scores,
    repeated_scores,
)
from llm_magics.errors import AttentionError


def test_random_tokens_are_drawn_from_the_ordinary_ones_twice_and_the_seed_decides(tiny):
    model = tiny("gpt2", "AutoModelForCausalLM", "causal")
    read = []
    handle = model.module.register_forward_pre_hook(
        lambda _, args, kwargs: read.append(kwargs["input_ids"]), with_kwargs=True
    )
    first = induction_scores(model, length=7, draws=2, seed=3)
    handle.remove()
    for ids in read:
        assert ids.shape == (1, 14)
        assert torch.equal(ids[0, :7], ids[0, 7:])
        assert len(set(ids[0].tolist())) == 7
        assert int(ids.min()) > 4  # the special tokens of this tokenizer are 0 to 4
    assert torch.equal(first, induction_scores(model, length=7, draws=2, seed=3))
    assert not torch.equal(first, induction_scores(model, length=7, draws=2, seed=4))


def test_an_encoder_gets_its_marks_around_the_tokens(tiny):
    model = tiny("bert", "AutoModel", "encoder")
    read = []
    handle = model.module.register_forward_pre_hook(
        lambda _, args, kwargs: read.append(kwargs["input_ids"]), with_kwargs=True
    )
    scores = repeated_scores(model, length=5, draws=1)
    handle.remove()
    assert read[0][0, [0, -1]].tolist() == [1, 2]
    assert scores["induction"].shape == (2, 4)


@torch.no_grad()
def test_a_circuit_of_two_heads_written_by_hand_is_found(circuit):
    scores = repeated_scores(circuit, length=12, draws=3)
    assert scores["previous-token"][0, 0] > 0.99
    # The first position has none before it and keeps its own token: its second occurrence looks
    # half there.
    assert scores["induction"][1, 0].item() == pytest.approx(1 - 0.5 / 12, abs=1e-3)
    assert scores["induction"][0, 0] < 0.01
    assert scores["previous-token"][1, 0] < 0.2
    assert scores["duplicate-token"].max() < 0.1


def test_what_cannot_be_asked_is_refused_in_one_line(tiny):
    with pytest.raises(AttentionError, match="an encoder-decoder model reads two"):
        induction_scores(tiny("bart", "AutoModelForSeq2SeqLM", "seq2seq"))
    with pytest.raises(
        AttentionError, match="9 different random tokens were asked for, and there are 3"
    ):
        induction_scores(
            tiny("gpt2", "AutoModelForCausalLM", "causal"), length=9, vocabulary=[7, 8, 9]
        )


def test_the_measures_of_a_model_are_told_apart_from_those_of_a_map(tiny):
    assert not set(MODEL_MEASURES) & set(MEASURES)
    model = tiny("gpt2", "AutoModelForCausalLM", "causal")
    for about in MODEL_MEASURES.values():
        assert about.compute(model, "the cat sat", None)["self"].shape == (2, 4)
