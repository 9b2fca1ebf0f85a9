"""The lean loop writes the tokens of transformers' `generate`, family by family, and leaves to it what it is not sure of."""

from __future__ import annotations

import pytest
import torch
import transformers
from transformers import GenerationConfig

from llm_magics.models.decode_lean import lean_greedy
from llm_magics.models.decode_lean_seq2seq import BartSteps

V, EOS, PAD, START = 61, 2, 1, 3
SMALL = {
    "vocab_size": V, "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "max_position_embeddings": 128,
    "pad_token_id": PAD, "bos_token_id": 0, "eos_token_id": EOS, "decoder_start_token_id": START, "init_std": 0.6,
    "forced_eos_token_id": None,
}  # fmt: skip
DECODER = {
    "vocab_size": V, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 256, "initializer_range": 0.6, "bos_token_id": 0,
    "eos_token_id": EOS, "pad_token_id": PAD,
}  # fmt: skip
SHORT = {"init_std": 0.1, "scale_embedding": True, "encoder_layers": 1, "decoder_layers": 1}
SEQ2SEQ = {
    "Marian": ("MarianMTModel", SMALL | SHORT), "Bart": ("BartForConditionalGeneration", SMALL | SHORT),
    "MBart": ("MBartForConditionalGeneration", SMALL | {"init_std": 1.0}),
    "Pegasus": ("PegasusForConditionalGeneration", SMALL | SHORT),
    "M2M100": ("M2M100ForConditionalGeneration", SMALL | {"init_std": 1.0, "decoder_layers": 1, "encoder_layers": 1}),
    "T5": ("T5ForConditionalGeneration", {
        "vocab_size": V, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, "pad_token_id": PAD,
        "eos_token_id": EOS, "decoder_start_token_id": START, "initializer_factor": 5.0, "feed_forward_proj": "gated-gelu",
        "tie_word_embeddings": False}),
}  # fmt: skip
CAUSAL = {
    "GPT2": ("GPT2LMHeadModel", {
        "vocab_size": V, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256, "initializer_range": 0.6,
        "bos_token_id": 0, "eos_token_id": EOS, "pad_token_id": PAD}),
    "GPTNeoX": ("GPTNeoXForCausalLM", {k: v for k, v in DECODER.items() if k != "num_key_value_heads"}),
} | {
    name: (f"{name}ForCausalLM", DECODER)
    for name in ("Llama", "Mistral", "Olmo", "Olmo2", "Phi", "Phi3", "Qwen2", "Qwen3", "SmolLM3", "Gemma", "Granite",
                 "StableLm")
}  # fmt: skip
LENGTHS = [9, 3, 14, 1, 14, 6]


def build(name, settings):
    transformers.set_seed(3)
    config = getattr(transformers, f"{name}Config")(**settings)
    model = getattr(transformers, (SEQ2SEQ | CAUSAL)[name][0])(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:  # biases and norms: a fresh model has none that matter, and repeats itself
                parameter += 0.1 * torch.randn_like(parameter)
        if hasattr(model, "final_logits_bias"):
            model.final_logits_bias.normal_()
        if name in SEQ2SEQ and name != "T5":  # a model that reads and writes with one matrix repeats itself
            model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.lm_head.weight))
        # Likely enough that rows end at different lengths.
        model.get_output_embeddings().weight[EOS] *= 1.5 if name in SEQ2SEQ and name != "T5" else 2.0
    return model


@pytest.fixture(scope="module")
def models():
    built = {}

    def get(name):
        if name not in built:
            built[name] = build(name, (SEQ2SEQ | CAUSAL)[name][1])
        return built[name]

    return get


def batch(lengths=LENGTHS, *, left):
    rng = torch.Generator().manual_seed(11)
    inputs, mask = torch.full((len(lengths), max(lengths)), PAD), torch.zeros((len(lengths), max(lengths)), dtype=torch.long)
    for row, length in enumerate(lengths):
        part = slice(max(lengths) - length, None) if left else slice(0, length)
        inputs[row, part] = torch.randint(4, V, (length,), generator=rng)
        mask[row, part] = 1
    return inputs, mask


def both(model, inputs, mask, *, limit=24, **settings):
    """(rows of `generate`, rows of the lean loop), each up to and with the token that ends it."""
    causal = not model.config.is_encoder_decoder
    start = inputs.shape[1] if causal else 1
    config = GenerationConfig(max_length=start + limit, do_sample=False, num_beams=1, **settings)
    output = model.generate(input_ids=inputs, attention_mask=mask, generation_config=config)[:, start:].tolist()
    expected = [row[: row.index(EOS) + 1] if EOS in row else row for row in output]
    return expected, lean_greedy(model, config, inputs, mask, [limit] * len(inputs), lambda rows: False)


@pytest.mark.parametrize("name", [*SEQ2SEQ, *CAUSAL])
def test_the_lean_loop_writes_what_generate_writes(models, name):
    model = models(name)
    for lengths in (LENGTHS, [7, 7], [5]):
        expected, lean = both(model, *batch(lengths, left=name in CAUSAL), limit=80)
        assert lean == expected


@pytest.mark.parametrize("name", ["Marian", "Bart", "M2M100", "T5", "Llama", "GPT2"])
@pytest.mark.parametrize("settings", [
    {"min_length": 8}, {"min_new_tokens": 6}, {"forced_bos_token_id": 7}, {"forced_eos_token_id": EOS},
    {"bad_words_ids": [[PAD], [9], [EOS]]}, {"suppress_tokens": [5, 6, 8]}, {"begin_suppress_tokens": [EOS, 10]},
    {"no_repeat_ngram_size": 2}, {"eos_token_id": [EOS, 17]},
    {"forced_bos_token_id": 7, "begin_suppress_tokens": [EOS], "min_length": 5, "no_repeat_ngram_size": 3},
], ids=str)  # fmt: skip
def test_settings_of_the_generation_config_are_honoured(models, name, settings):
    model, ends = models(name), settings.get("eos_token_id", EOS)
    expected, lean = both(model, *batch(left=name in CAUSAL), **settings)
    if isinstance(ends, list):
        expected = [row[: min((row.index(end) + 1 for end in ends if end in row), default=None)] for row in expected]
    assert lean == expected


def test_rows_end_at_different_lengths_in_these_tests(models):
    for name in ("Bart", "MBart", "Llama", "GPT2"):
        expected, _ = both(models(name), *batch(left=name in CAUSAL), limit=80)
        assert len({len(row) for row in expected}) > 2, name


def test_settings_beyond_the_loop_are_left_to_generate(models):
    inputs, mask = batch(left=False)
    for settings in (
        {"do_sample": True}, {"repetition_penalty": 1.3}, {"bad_words_ids": [[4, 5]]}, {"penalty_alpha": 0.6},
        {"sequence_bias": [[[4], -1.0]]}, {"exponential_decay_length_penalty": (4, 1.2)}, {"stop_strings": ["x"]},
        {"remove_invalid_values": True}, {"use_cache": False}, {"num_beams": 2}, {"never_heard_of": 3},
    ):  # fmt: skip
        config = GenerationConfig(max_length=9, **settings)
        assert lean_greedy(models("Marian"), config, inputs, mask, [8] * len(inputs), lambda rows: False) is None, settings


def test_a_model_that_is_not_as_published_is_left_to_generate(models):
    inputs, mask = batch(left=False)
    config, limits = GenerationConfig(max_length=9), [8] * len(inputs)

    def lean(model):
        return lean_greedy(model, config, inputs, mask, limits, lambda rows: False)

    marian = models("Marian")
    handle = marian.model.decoder.layers[0].register_forward_hook(lambda *_: None)
    assert lean(marian) is None
    handle.remove()
    marian.forward = marian.forward
    assert lean(marian) is None
    del marian.forward
    assert lean(marian) is not None

    class Mine(transformers.MarianMTModel):
        pass

    assert lean(Mine(marian.config).eval()) is None
    unknown = transformers.LEDForConditionalGeneration(transformers.LEDConfig(
        vocab_size=V, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
        encoder_ffn_dim=16, decoder_ffn_dim=16, attention_window=4, max_encoder_position_embeddings=32,
        max_decoder_position_embeddings=32))  # fmt: skip
    assert lean(unknown.eval()) is None


def test_a_sliding_window_that_would_matter_is_left_to_generate():
    model = build("Mistral", DECODER | {"sliding_window": 20})
    inputs, mask = batch(left=True)
    config = GenerationConfig(max_length=60)
    assert lean_greedy(model, config, inputs, mask, [46] * len(inputs), lambda rows: False) is None
    expected, lean = both(model, inputs, mask, limit=6)
    assert lean == expected


def test_every_row_has_its_own_limit_and_leaves_at_it(models, monkeypatch):
    model = models("Marian")
    inputs, mask = batch(left=False)
    whole, _ = both(model, inputs, mask, limit=40, suppress_tokens=[EOS])
    limits = [4, 31, 1, 40, 12, 7]
    config = GenerationConfig(max_length=41, suppress_tokens=[EOS])
    sizes, forward = [], BartSteps._forward
    monkeypatch.setattr(BartSteps, "_forward", lambda self, tokens: (sizes.append(len(tokens)), forward(self, tokens))[1])
    lean = lean_greedy(model, config, inputs, mask, limits, lambda rows: False)
    assert lean == [row[:limit] for row, limit in zip(whole, limits, strict=True)]
    assert sizes == [sum(limit > step for limit in limits) for step in range(40)]


def test_the_watcher_sees_every_token_and_may_stop(models):
    model, seen = models("Llama"), []
    inputs, mask = batch(left=True)

    def watch(rows):
        seen.append([len(row) for row in rows])
        return len(seen) == 5

    rows = lean_greedy(model, GenerationConfig(max_length=40, min_new_tokens=20), inputs, mask, [20] * 6, watch)
    assert seen == [[step] * 6 for step in range(1, 6)]
    assert [len(row) for row in rows] == [5] * 6


def test_bfloat16_and_eager_attention_give_the_tokens_of_generate(models):
    for name in ("Marian", "T5"):
        model = build(name, SEQ2SEQ[name][1]).bfloat16()
        inputs, mask = batch([6, 6], left=False)
        expected, lean = both(model, inputs, mask)
        assert [row[:3] for row in lean] == [row[:3] for row in expected]  # further on, ties of bfloat16 may fall otherwise
    eager = build("Bart", SMALL | SHORT | {"attn_implementation": "eager"})
    assert eager.config._attn_implementation == "eager"
    expected, lean = both(eager, *batch(left=False))
    assert lean == expected
