"""Classes of texts: what transformers' own pipelines say, also in batches, in windows, and by
classifiers of ours."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from llm_magics.errors import TooLong, WrongTask
from llm_magics.models.backends.hf.backend import HfBackend
from llm_magics.models.backends.loaded import LoadedModel
from llm_magics.models.manager.manager import ModelManager
from llm_magics.models.read.classify import (
    class_names,
    class_probabilities,
    entailment_classes,
    zero_shot,
)
from llm_magics.models.reference import parse_reference

TEXTS = [
    "The film was wonderful!",
    "I don't know; the unbelievably slow service ruined the evening.",
    "Berlin",
]
LABELS = ["music", "politics", "food"]


@pytest.fixture(scope="module")
def lease(models):
    manager = ModelManager(device="cpu")

    def lease(name):
        return manager.lease(str(models(name)))

    yield lease
    manager.close()


def test_probabilities_are_those_of_the_pipeline(lease, models):
    from transformers import pipeline

    reference = pipeline(
        "text-classification", model=str(models("sentiment")), device="cpu", top_k=None
    )
    with lease("sentiment") as model:
        found, names = class_probabilities(model, TEXTS), class_names(model)
    assert names == ("negative", "neutral", "positive")
    for row, expected in zip(found.tolist(), reference(TEXTS), strict=True):
        wanted = {one["label"]: one["score"] for one in expected}
        assert dict(zip(names, row, strict=True)) == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("several", [False, True])
def test_zero_shot_labels_are_those_of_the_pipeline(lease, models, several):
    from transformers import pipeline

    reference = pipeline("zero-shot-classification", model=str(models("nli")), device="cpu")
    with lease("nli") as model:
        found = zero_shot(model, TEXTS, LABELS, multi_label=several)
    for row, expected in zip(
        found.tolist(), reference(TEXTS, LABELS, multi_label=several), strict=True
    ):
        wanted = dict(zip(expected["labels"], expected["scores"], strict=True))
        assert dict(zip(LABELS, row, strict=True)) == pytest.approx(wanted, abs=1e-5)


def test_one_label_alone_is_judged_against_its_contradiction(lease):
    with lease("nli") as model:
        alone = zero_shot(model, TEXTS, LABELS[:1])
        each = zero_shot(model, TEXTS, LABELS, multi_label=True)
    assert torch.allclose(alone[:, 0], each[:, 0], atol=1e-5)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("contradiction", "neutral", "entailment"), (2, 0)),
        (("ENTAILMENT", "NEUTRAL", "CONTRADICTION"), (0, 2)),
        (("entailment", "not_entailment"), (0, 1)),
        (("entailment", "neutral"), (0, None)),
        (("positive", "negative"), None),
    ],
)
def test_the_class_of_entailment_is_found_by_its_name(names, expected):
    assert entailment_classes(names) == expected


def test_a_long_text_is_the_mean_of_its_windows_counted_by_their_tokens(lease):
    from llm_magics.models.read.windows import cut, run_windows

    text = " ".join(TEXTS * 12)
    with lease("sentiment") as model:
        windows = cut(model, text)
        assert len(windows) > 2
        assert sum(len(window.inside) for window in windows) == len(
            model.tokenizer(text, add_special_tokens=False)["input_ids"]
        )
        rows = run_windows(model, windows, lambda output: output.logits)
        weights = torch.tensor([float(len(window.inside)) for window in windows])
        expected = ((torch.stack(rows) * weights[:, None]).sum(0) / weights.sum()).softmax(-1)
        assert torch.allclose(class_probabilities(model, [text, TEXTS[0]])[0], expected, atol=1e-5)


class LastClassForSequenceClassification(nn.Module):
    """Its class is that of the last token: shows which tokens were read."""

    config = SimpleNamespace(
        max_position_embeddings=64,
        id2label={0: "a", 1: "b"},
        problem_type="multi_label_classification",
    )

    def forward(self, input_ids, attention_mask, token_type_ids):
        return SimpleNamespace(
            logits=torch.stack([input_ids.sum(1) * 0.0, attention_mask.sum(1) * 0.1], -1)
        )


def test_several_classes_at_once_are_each_a_sigmoid(lease):
    with lease("sentiment") as real:
        tokenizer = real.tokenizer
    model = LoadedModel(
        parse_reference("./made-here"),
        "bert",
        "encoder",
        HfBackend(LastClassForSequenceClassification(), tokenizer),
        "cpu",
        "float32",
        0,
        0,
    )
    found = class_probabilities(model, ["Berlin"])[0]
    count = len(tokenizer("Berlin")["input_ids"])
    assert found.tolist() == pytest.approx([0.5, torch.tensor(count * 0.1).sigmoid().item()])


def test_a_classifier_trained_here_says_what_its_module_says(lease):
    with lease("house_classifier") as model:
        assert class_names(model) == ("negative", "positive")
        found = class_probabilities(model, TEXTS)
        for text, row in zip(TEXTS, found, strict=True):
            ids = torch.tensor(model.tokenizer.encode_source([text]))
            with torch.no_grad():
                assert torch.allclose(row, model.module(ids)[0].exp(), atol=1e-5)


def test_a_bart_with_a_head_for_classes_is_loaded_as_one(models, tmp_path):
    from tokenizers.processors import TemplateProcessing
    from transformers import AutoTokenizer, BartConfig, BartForSequenceClassification

    tokenizer = AutoTokenizer.from_pretrained(models("bart"))
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    tokenizer.save_pretrained(tmp_path)
    torch.manual_seed(0)
    BartForSequenceClassification(
        BartConfig(
            vocab_size=150,
            d_model=32,
            encoder_layers=1,
            decoder_layers=1,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=32,
            decoder_ffn_dim=32,
            max_position_embeddings=64,
            eos_token_id=2,
            pad_token_id=1,
            bos_token_id=0,
            id2label={0: "contradiction", 1: "entailment"},
            label2id={"contradiction": 0, "entailment": 1},
        )
    ).save_pretrained(tmp_path)
    manager = ModelManager(device="cpu")
    with manager.lease(str(tmp_path)) as model:
        assert model.kind == "encoder"
        assert zero_shot(
            model, ["The cat sat."], ["animals", "music"]
        ).sum().item() == pytest.approx(1)
    manager.close()


def test_what_classifies_nothing_is_refused(lease):
    with (
        lease("encoder") as model,
        pytest.raises(WrongTask, match="has no head that classifies texts"),
    ):
        class_probabilities(model, TEXTS)
    with (
        lease("sentiment") as model,
        pytest.raises(WrongTask, match="labels of your own need a model of inference"),
    ):
        zero_shot(model, TEXTS, LABELS)
    with lease("nli") as model, pytest.raises(TooLong, match="make it shorter"):
        zero_shot(model, TEXTS, ["wonderful " * 100])
