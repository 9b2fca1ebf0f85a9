"""Captured attention against transformers' own eager attention, and against our formula."""

from __future__ import annotations

import threading

import pytest
import torch

from llm_magics.attention import capture
from llm_magics.attention.layer import MapLayer
from llm_magics.errors import AttentionError
from llm_magics.nn import CausalLanguageModel, Seq2SeqModel, scaled_dot_product

FOLLOWING = [
    "bert",
    "roberta",
    "electra",
    "albert",
    "distilbert",
    "modernbert",
    "gpt2",
    "gpt_neox",
    "opt",
    "llama",
    "qwen3",
    "mistral",
    "gemma2",
    "gpt_oss",
    "bart",
    "m2m_100",
    "pegasus",
    "marian",
    "t5",
]


@pytest.mark.parametrize("family", FOLLOWING)
@torch.no_grad()
def test_captured_maps_equal_eager_attention_and_the_output_stays(family, small):
    model = small.build(family)
    given, implementation = (
        small.inputs(model.config.is_encoder_decoder),
        model.config._attn_implementation,
    )
    before = model(**given)[0]
    with capture(model) as captured:
        during = model(**given)[0]
    assert torch.equal(before, during)
    assert model.config._attn_implementation == implementation
    expected = small.eager_maps(model, **given)
    assert set(captured) == set(expected)
    for kind, maps in expected.items():
        assert maps.max() > 1.5 / maps.shape[-1]  # the maps are not flat
        torch.testing.assert_close(small.stacked(captured[kind]), maps[0], atol=2e-6, rtol=1e-4)


@torch.no_grad()
def test_a_model_that_follows_no_interface_is_asked_for_its_maps_and_its_output_stays(small):
    model = small.build("deberta-v2")
    given = small.inputs(False)
    before = model(**given)
    with capture(model) as captured:
        during = model(**given)
    assert torch.equal(before[0], during[0])
    assert before.keys() == during.keys()
    assert isinstance(captured["self"][0], MapLayer)
    maps = small.stacked(captured["self"])
    torch.testing.assert_close(
        maps,
        torch.stack(model(**given, output_attentions=True).attentions)[:, 0],
        atol=5e-4,
        rtol=1e-3,
    )


@pytest.mark.parametrize("family", ["bert", "llama", "t5", "mistral"])
@torch.no_grad()
def test_padding_hides_the_padded_keys_of_the_chosen_row(family, small):
    model = small.build(family)
    given = dict(small.inputs(model.config.is_encoder_decoder, 3))
    given["attention_mask"] = torch.ones(3, 12, dtype=torch.long)
    given["attention_mask"][1, 8:] = 0
    expected = small.eager_maps(model, **given)
    with capture(model, batch_row=1) as captured:
        model(**given)
    for kind, maps in expected.items():
        seen = small.stacked(captured[kind])[
            ..., :8, :
        ]  # behind stand rows that see nothing: there eager weights are flat
        torch.testing.assert_close(seen, maps[1][..., :8, :], atol=2e-6, rtol=1e-4)
    for kind in set(captured) - {"decoder"}:
        assert small.stacked(captured[kind])[..., 8:].eq(0).all()


@pytest.mark.parametrize(
    ("family", "cache"),
    [
        ("gpt2", None),
        ("llama", None),
        ("gpt_neox", None),
        ("gemma2", None),
        ("mistral", None),
        ("gpt_oss", None),
        ("llama", "static"),
        ("gpt2", "static"),
    ],
)
@torch.no_grad()
def test_steps_with_a_cache_equal_one_pass(family, cache, small):
    model = small.build(family, "AutoModelForCausalLM")
    ids = small.inputs(False)["input_ids"]
    with capture(model) as captured:
        whole = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=8,
            min_new_tokens=8,
            do_sample=False,
            pad_token_id=0,
            cache_implementation=cache,
        )
    with capture(model) as once:
        model(input_ids=whole[:, :-1])
    assert captured["self"][0].size == (19, 19)
    torch.testing.assert_close(
        small.stacked(captured["self"]), small.stacked(once["self"]), atol=1e-5, rtol=1e-3
    )


@pytest.mark.parametrize("family", ["bart", "t5"])
@torch.no_grad()
def test_a_decoder_that_writes_step_by_step_equals_one_that_is_given_the_text(family, small):
    model = small.build(family, "AutoModelForSeq2SeqLM")
    ids = small.inputs(False)["input_ids"]
    with capture(model, values=True) as captured:
        whole = model.generate(
            ids, max_new_tokens=6, min_new_tokens=6, do_sample=False, num_beams=1
        )
    with capture(model, values=True) as once:
        model(input_ids=ids, decoder_input_ids=whole[:, :-1])
    for kind in ("encoder", "decoder", "cross"):
        torch.testing.assert_close(
            small.stacked(captured[kind]), small.stacked(once[kind]), atol=1e-5, rtol=1e-3
        )
        for step, layer in zip(captured[kind], once[kind], strict=True):
            torch.testing.assert_close(step.value, layer.value, atol=1e-5, rtol=1e-3)


@torch.no_grad()
def test_our_own_steps_with_a_cache_equal_one_pass(small):
    torch.manual_seed(0)
    model = CausalLanguageModel(50, 32, 4, 2, 64).eval()
    ids = torch.randint(4, 50, (1, 9))
    with capture(model) as once:
        model(ids)
    cache = model.new_cache()
    with capture(model) as captured:
        model(ids[:, :5], cache=cache)
        for place in range(5, 9):
            model(ids[:, place : place + 1], cache=cache)
    torch.testing.assert_close(small.stacked(captured["self"]), small.stacked(once["self"]))


@torch.no_grad()
def test_of_two_passes_the_last_is_kept(small):
    model = small.build("albert")
    first, second = small.inputs(False, 2)["input_ids"].split(1)
    with capture(model) as captured:
        model(first)
        model(second)
    assert len(captured["self"]) == 2
    torch.testing.assert_close(
        small.stacked(captured["self"]),
        small.eager_maps(model, input_ids=second)["self"][0],
        atol=2e-6,
        rtol=1e-4,
    )


@pytest.mark.parametrize(
    "family", ["bert", "distilbert", "modernbert", "gpt2", "llama", "t5", "bart", "opt"]
)
@torch.no_grad()
def test_weights_values_and_projections_give_what_the_layer_adds(family, small):
    """Σ_h A_h V_h W_O,h is what the output projection returns, less its bias."""
    model = small.build(family)
    outputs = []
    names = {
        "bert": "attention.output.dense",
        "distilbert": "out_lin",
        "modernbert": "attn.Wo",
        "gpt2": "attn.c_proj",
        "llama": "o_proj",
        "t5": "SelfAttention.o",
        "bart": "self_attn.out_proj",
        "opt": "out_proj",
    }
    handles = [
        part.register_forward_hook(lambda part, _, result: outputs.append((part, result[0])))
        for name, part in model.named_modules()
        if name.endswith(names[family])
    ]
    with capture(model, values=True) as captured:
        model(**small.inputs(model.config.is_encoder_decoder))
    for handle in handles:
        handle.remove()
    layers = [layer for kind in ("self", "encoder", "decoder") for layer in captured.get(kind, [])]
    assert len(layers) == len(outputs) > 0
    for layer, (part, result) in zip(layers, outputs, strict=True):
        value = layer.value.repeat_interleave(layer.heads // layer.value.shape[0], 0)
        ours = sum(
            layer.weights(head) @ value[head] @ layer.project[head] for head in range(layer.heads)
        )
        bias = 0 if getattr(part, "bias", None) is None else part.bias
        torch.testing.assert_close(ours + bias, result, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_our_own_models_are_captured_as_their_formula_says(small):
    torch.manual_seed(0)
    model = Seq2SeqModel(50, 50, 32, 4, 2, 3, 64).eval()
    src, tgt = torch.randint(4, 50, (1, 9)), torch.randint(4, 50, (1, 6))
    with capture(model, values=True) as captured:
        model(src, tgt)
    assert {kind: len(layers) for kind, layers in captured.items()} == {
        "encoder": 2,
        "decoder": 3,
        "cross": 3,
    }
    layer = captured["decoder"][0]
    hidden = torch.ones(6, 6, dtype=torch.bool).triu(1)
    _, expected = scaled_dot_product(layer.query, layer.key, layer.value, hidden)  # (H, T, T)
    torch.testing.assert_close(small.stacked([layer])[0], expected)
    assert layer.project.shape == (4, 8, 32)
    assert all(part.observer is None for part in model.modules() if hasattr(part, "observer"))


@torch.no_grad()
def test_padding_and_causality_of_our_own_models_meet_in_one_mask(small):
    model = CausalLanguageModel(50, 32, 4, 1, 64).eval()
    padding = torch.tensor([[False] * 6, [True] * 2 + [False] * 4])
    with capture(model, batch_row=1) as captured:
        model(torch.randint(4, 50, (2, 6)), padding)
    maps = small.stacked(captured["self"])[0]
    assert maps[:, :, :2].eq(0).all()
    assert maps.triu(1).eq(0).all()
    torch.testing.assert_close(maps[:, 2:].sum(-1), torch.ones(4, 4))


def test_an_interrupt_restores_the_attention_implementation(small):
    model = small.build("gpt2")
    with pytest.raises(KeyboardInterrupt), capture(model):
        raise KeyboardInterrupt
    assert model.config._attn_implementation == "sdpa"
    assert not any(part._forward_pre_hooks for part in model.modules())


@torch.no_grad()
def test_a_capture_within_a_capture_sees_its_own_pass_and_both_restore(small):
    model = small.build("llama")
    long, short = small.inputs(False)["input_ids"], small.inputs(False)["input_ids"][:, :4]
    with capture(model) as outer:
        with capture(model) as inner:
            model(short)
        assert model.config._attn_implementation != "sdpa"
        model(long)
    assert (inner["self"][0].size, outer["self"][0].size) == ((4, 4), (12, 12))
    assert model.config._attn_implementation == "sdpa"


@torch.no_grad()
def test_each_thread_captures_its_own_passes_of_one_model(small):
    model, sizes = small.build("bert"), {}
    ids, together = small.inputs(False)["input_ids"], threading.Barrier(2)

    def look(length: int) -> None:
        together.wait()
        with capture(model) as captured, torch.no_grad():
            together.wait()
            model(ids[:, :length])
        sizes[length] = captured["self"][0].size

    threads = [threading.Thread(target=look, args=(length,)) for length in (5, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sizes == {5: (5, 5), 9: (9, 9)}
    assert model.config._attn_implementation == "sdpa"


def test_a_block_without_a_pass_is_an_error(small):
    with (
        pytest.raises(AttentionError, match="run it inside the block"),
        capture(small.build("bert")),
    ):
        pass


@torch.no_grad()
def test_a_mask_is_kept_once_for_all_layers(small):
    model = small.build("t5")
    given = small.inputs(True)
    with capture(model) as captured:
        model(**given)
    biases = {layer.bias.data_ptr() for layer in captured["encoder"]}
    assert len(captured["encoder"]) == 2
    assert len(biases) == 1
