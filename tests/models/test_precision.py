"""int8 weights: linear layers of a loaded model, close to float32, beside it in the ledger."""

from __future__ import annotations

import pytest
import torch
import transformers

from llm_magics.errors import InputError
from llm_magics.models.folder import precision
from llm_magics.models.folder.open import resolve_dtype
from llm_magics.models.folder.precision import joined, packed_size, quantise, vocabulary
from llm_magics.models.generate.generate import generate
from llm_magics.models.manager.manager import ModelManager

TEXTS = [
    "The cat sat on the mat.",
    "No.",
    "We read a good book about the sea.",
    "Where is the station?",
]


def test_precisions_have_short_names():
    assert resolve_dtype("fp32", "cpu") == resolve_dtype("auto", "cpu") == torch.float32
    assert resolve_dtype("bf16", "cpu") == torch.bfloat16
    assert resolve_dtype("int8", "cpu") == torch.int8
    with pytest.raises(InputError, match="on the CPU only, not on cuda"):
        resolve_dtype("int8", "cuda")


def test_an_int8_layer_computes_what_the_float_layer_does_to_within_its_steps():
    torch.manual_seed(0)
    layer = torch.nn.Linear(128, 96)
    part = torch.nn.Sequential(layer)
    hidden = torch.randn(5, 128)
    expected = layer(hidden)
    quantise(part)
    assert part[0] is not layer
    assert torch.nn.functional.mse_loss(part(hidden), expected) < 1e-3 * expected.var()
    assert packed_size(part) == (128 * 96, 128 * 96 + 8 * 96)


@pytest.mark.parametrize("biases", [(True, True, True), (False, False, False), (True, False, True)])
def test_joined_layers_compute_what_each_does_bit_by_bit(biases):
    torch.manual_seed(0)
    part = torch.nn.ModuleList(
        torch.nn.Linear(128, size, bias=bias)
        for size, bias in zip((96, 64, 96), biases, strict=True)
    )
    quantise(part)
    hidden = torch.randn(5, 128)
    whole = joined(*part)
    assert torch.equal(whole(hidden), torch.cat([layer(hidden) for layer in part], 1))
    assert joined(*part) is whole
    part[1].packed = part[2].packed
    assert joined(*part) is not whole


def test_a_vocabulary_is_packed_for_other_kernels_where_there_are_many_rows(monkeypatch):
    torch.manual_seed(0)
    part, engine = torch.nn.Sequential(torch.nn.Linear(64, 300)), torch.backends.quantized.engine
    quantise(part)
    assert vocabulary(part[0]) is part[0]
    monkeypatch.setattr("llm_magics.models.folder.precision._VOCABULARY", 256)
    function = vocabulary(part[0])
    few, many = torch.randn(3, 64), torch.randn(40, 64)
    assert torch.equal(function(few), part(few))
    assert part[0] not in precision._WIDE
    for _ in range(2):
        assert torch.allclose(function(many), part(many), atol=1e-5)
    assert torch.backends.quantized.engine == engine
    assert part[0] in precision._WIDE or part[0].reduced


def test_gpt2_with_its_transposed_layers_stays_close():
    torch.manual_seed(0)
    model = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(vocab_size=90, n_embd=64, n_layer=2, n_head=4)
    ).eval()
    ids = torch.arange(20)[None]
    with torch.no_grad():
        expected = model(ids).logits
        quantise(model)
        assert packed_size(model)[0] == 2 * 12 * 64 * 64 + 90 * 64
        assert torch.nn.functional.mse_loss(model(ids).logits, expected) < 0.01 * expected.var()


@pytest.mark.parametrize("family", ["marian", "t5", "llama", "house"])
def test_a_model_is_leased_in_int8_beside_its_float32_copy(models, family, monkeypatch):
    monkeypatch.setattr("llm_magics.models.folder.precision._SMALLEST", 256)
    manager = ModelManager(device="cpu")
    with (
        manager.lease(models(family)) as whole,
        manager.lease(models(family), dtype="int8") as small,
    ):
        assert (whole.dtype, small.dtype) == ("float32", "int8")
        assert packed_size(whole.module) == (0, 0)
        assert packed_size(small.module)[0] > 0
        written = generate(small, TEXTS, max_new_tokens=12)
        assert all(item.n_new_tokens for item in written)
        if family != "house":
            assert (
                written[0].n_source_tokens
                == generate(whole, TEXTS, max_new_tokens=2)[0].n_source_tokens
            )
    assert {row.dtype for row in manager.rows()} == {"float32", "int8"}
    manager.close()
