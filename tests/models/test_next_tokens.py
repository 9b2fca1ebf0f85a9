"""Token probabilities: against one forward pass a prefix, and the same in windows as at once."""

from __future__ import annotations

import pytest
import torch

from llm_magics.errors import WrongTask
from llm_magics.models.manager.manager import ModelManager
from llm_magics.models.read import next_tokens
from llm_magics.models.read.next_tokens import score_tokens

TEXT = "The cat sleeps on the sofa. A dog runs in the park."


@pytest.fixture(scope="module")
def manager():
    manager = ModelManager(device="cpu")
    yield manager
    manager.close()


def lease(manager, models, family):
    return manager.lease(str(models(family)))


@torch.no_grad()
def test_a_causal_model_is_asked_after_every_prefix(manager, models):
    with lease(manager, models, "llama") as model:
        scored = score_tokens(model, TEXT, count=4)
        ids = model.tokenizer(TEXT, add_special_tokens=False)["input_ids"]
        start = model.tokenizer.bos_token_id
        for at, token in enumerate(scored.tokens):
            probabilities = (
                model.module(torch.tensor([[start, *ids[:at]]])).logits[0, -1].softmax(-1)
            )
            assert token.probability == pytest.approx(probabilities[ids[at]].item(), rel=1e-3)
            assert token.rank == int((probabilities > probabilities[ids[at]]).sum())
            assert [one.token_id for one in token.candidates] == probabilities.topk(
                4
            ).indices.tolist()
        following = model.module(torch.tensor([[start, *ids]])).logits[0, -1].softmax(-1)
        assert [one.probability for one in scored.next] == pytest.approx(
            following.topk(4).values.tolist(), rel=1e-3
        )
    assert "".join(token.text for token in scored.tokens).replace(" ", "") == TEXT.replace(" ", "")
    assert all(TEXT[token.start : token.end] == token.text for token in scored.tokens)


def test_windows_see_at_least_half_of_one_before_them(manager, models, monkeypatch):
    with lease(manager, models, "llama") as model:
        whole = score_tokens(model, TEXT, count=2)
        monkeypatch.setattr(next_tokens, "_WINDOW", 12)
        parts = score_tokens(model, TEXT, count=2)
    assert len(parts.tokens) == len(whole.tokens) > 12
    assert all(token.probability is not None for token in parts.tokens)
    for a, b in zip(
        parts.tokens[:11], whole.tokens[:11], strict=True
    ):  # the first window is the same
        assert a.probability == pytest.approx(b.probability, rel=1e-3)


@torch.no_grad()
def test_a_masked_model_scores_each_token_without_seeing_it(manager, models):
    with lease(manager, models, "bert") as model:
        text = "The cat sleeps."
        scored = score_tokens(model, text, count=3)
        ids = model.tokenizer(text, add_special_tokens=False)["input_ids"]
        for at, token in enumerate(scored.tokens):
            masked = [*ids[:at], model.tokenizer.mask_token_id, *ids[at + 1 :]]
            probabilities = model.module(torch.tensor([masked])).logits[0, at].softmax(-1)
            assert token.probability == pytest.approx(probabilities[ids[at]].item(), rel=1e-3)
        assert scored.next == ()
        assert scored.masks == ()


def test_masks_in_a_text_are_what_is_filled_in(manager, models):
    with lease(manager, models, "bert") as model:
        scored = score_tokens(model, "The <mask> sleeps on the <mask>.", count=3)
    assert len(scored.masks) == 2
    for at, token in enumerate(scored.tokens):
        assert bool(token.candidates) == (at in scored.masks)
        assert token.probability is None


def test_our_own_language_models_are_read_too(manager, tmp_path):
    from llm_magics.models.folder.native import save_native
    from llm_magics.nn import CausalLanguageModel
    from tests.models.conftest import fast_tokenizer

    raw = fast_tokenizer(["<pad>", "<s>", "</s>", "<unk>"])
    arguments = {
        "vocab_size": raw.get_vocab_size(),
        "d_model": 16,
        "nhead": 2,
        "num_layers": 1,
        "dim_feedforward": 32,
    }
    torch.manual_seed(0)
    folder = save_native(
        tmp_path / "ours",
        CausalLanguageModel(**arguments),
        arguments=arguments,
        task="language-model",
        source_tokenizer=raw,
    )
    with manager.lease(str(folder)) as model:
        scored = score_tokens(model, TEXT, count=3)
        ids = model.tokenizer.encode_source([TEXT])[0][:-1]
        with torch.no_grad():
            probabilities = model.module(torch.tensor([[2, *ids[:5]]]))[0, -1].softmax(
                -1
            )  # as between two texts
    assert scored.tokens[5].probability == pytest.approx(probabilities[ids[5]].item(), rel=1e-3)
    assert len(scored.next) == 3


def test_a_model_that_predicts_no_tokens_is_refused(manager, models):
    with (
        lease(manager, models, "marian") as model,
        pytest.raises(WrongTask, match="predicts no next word"),
    ):
        score_tokens(model, TEXT)
