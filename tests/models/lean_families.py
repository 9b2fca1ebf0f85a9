"""Small random models of every family the lean loop serves, and what `generate` and the loop write
with them."""

from __future__ import annotations

import torch
import transformers
from transformers import GenerationConfig

from llm_magics.models.generate.fast.loop import lean_rows

V, EOS, PAD, START = 61, 2, 1, 3
SMALL = {
    "vocab_size": V,
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "max_position_embeddings": 128,
    "pad_token_id": PAD,
    "bos_token_id": 0,
    "eos_token_id": EOS,
    "decoder_start_token_id": START,
    "init_std": 0.6,
    "forced_eos_token_id": None,
}
DECODER = {
    "vocab_size": V,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "initializer_range": 0.6,
    "bos_token_id": 0,
    "eos_token_id": EOS,
    "pad_token_id": PAD,
}
SHORT = {"init_std": 0.1, "scale_embedding": True, "encoder_layers": 1, "decoder_layers": 1}
SEQ2SEQ = {
    "Marian": ("MarianMTModel", SMALL | SHORT),
    "Bart": ("BartForConditionalGeneration", SMALL | SHORT),
    "MBart": ("MBartForConditionalGeneration", SMALL | {"init_std": 1.0}),
    "Pegasus": ("PegasusForConditionalGeneration", SMALL | SHORT),
    "M2M100": (
        "M2M100ForConditionalGeneration",
        SMALL | {"init_std": 1.0, "decoder_layers": 1, "encoder_layers": 1},
    ),
    "T5": (
        "T5ForConditionalGeneration",
        {
            "vocab_size": V,
            "d_model": 32,
            "d_kv": 8,
            "d_ff": 48,
            "num_layers": 2,
            "num_heads": 4,
            "pad_token_id": PAD,
            "eos_token_id": EOS,
            "decoder_start_token_id": START,
            "initializer_factor": 3.0,
            "feed_forward_proj": "gated-gelu",
            "tie_word_embeddings": False,
        },
    ),
}
CAUSAL = {
    "GPT2": (
        "GPT2LMHeadModel",
        {
            "vocab_size": V,
            "n_embd": 32,
            "n_layer": 2,
            "n_head": 4,
            "n_positions": 256,
            "initializer_range": 0.6,
            "bos_token_id": 0,
            "eos_token_id": EOS,
            "pad_token_id": PAD,
        },
    ),
    "GPTNeoX": (
        "GPTNeoXForCausalLM",
        {k: v for k, v in DECODER.items() if k != "num_key_value_heads"},
    ),
} | {
    name: (f"{name}ForCausalLM", DECODER)
    for name in (
        "Llama",
        "Mistral",
        "Olmo",
        "Olmo2",
        "Phi",
        "Phi3",
        "Qwen2",
        "Qwen3",
        "SmolLM3",
        "Gemma",
        "Granite",
        "StableLm",
    )
}
LENGTHS = [9, 3, 14, 1, 14, 6]


def build(name, settings, *, ends=1.0):
    """A model whose token that ends is `ends` times as strong as is usual here."""
    transformers.set_seed(3)
    config = getattr(transformers, f"{name}Config")(**settings)
    model = getattr(transformers, (SEQ2SEQ | CAUSAL)[name][0])(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if (
                parameter.ndim == 1
            ):  # biases and norms: a fresh model has none that matter, and repeats itself
                parameter += 0.1 * torch.randn_like(parameter)
        if hasattr(model, "final_logits_bias"):
            model.final_logits_bias.normal_()
        if (
            name in SEQ2SEQ and name != "T5"
        ):  # a model that reads and writes with one matrix repeats itself
            model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.lm_head.weight))
        # Likely enough that rows end at different lengths.
        model.get_output_embeddings().weight[EOS] *= ends * (
            1.5 if name in SEQ2SEQ and name != "T5" else 2.0
        )
    return model


def batch(lengths=LENGTHS, *, left):
    rng = torch.Generator().manual_seed(11)
    inputs, mask = (
        torch.full((len(lengths), max(lengths)), PAD),
        torch.zeros((len(lengths), max(lengths)), dtype=torch.long),
    )
    for row, length in enumerate(lengths):
        part = slice(max(lengths) - length, None) if left else slice(0, length)
        inputs[row, part] = torch.randint(4, V, (length,), generator=rng)
        mask[row, part] = 1
    return inputs, mask


def both(model, inputs, mask, *, limit=24, **settings):
    """(rows of `generate`, rows of the lean loop), each up to and with the token that ends it;
    None: left to `generate`."""
    causal = not model.config.is_encoder_decoder
    start = inputs.shape[1] if causal else 1
    config = GenerationConfig(
        max_length=start + limit, do_sample=False, **{"num_beams": 1} | settings
    )
    output = model.generate(input_ids=inputs, attention_mask=mask, generation_config=config)[
        :, start:
    ].tolist()
    ends = settings.get("eos_token_id", [EOS])
    expected = [
        row[: min((row.index(end) + 1 for end in ends if end in row), default=None)]
        for row in output
    ]
    return expected, lean_rows(
        model, config, inputs, mask, [limit] * len(inputs), lambda rows: False
    )
