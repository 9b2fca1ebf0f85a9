"""Models of `llm_magics.nn` as the models of transformers that compute the same: exact twins, not
look-alikes.

    Seq2SeqModel, post-norm         Marian
    Seq2SeqModel, pre-norm          Pegasus
    CausalLanguageModel, pre-norm   GPT-2
    CausalLanguageModel, post-norm  GPT (openai-gpt), where dim_feedforward is at most 4 · d_model

Three things make them exact. (1) Marian and Pegasus keep the sines in the first half of a
position's vector and the cosines in the second, ours take turns: the model's width is re-ordered
throughout, which changes no logit. (2) The GPTs do not scale embeddings by √D: the scale goes into
the matrix. (3) Their output layer has no bias b: the values x̂ that a LayerNorm has normalised sum
to 0, so with h = x̂ + 1 the sum of h is D, and
W (γ ⊙ x̂ + β) + b = W′ h  with  W′ = W diag(γ) + (W β + b − W γ) 1ᵀ / D.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from llm_magics.errors import WrongTask, type_of
from llm_magics.nn import CausalLanguageModel, Seq2SeqModel
from llm_magics.nn.positions import LearnedPositions, SinusoidalPositions

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedConfig, PreTrainedModel

__all__ = ["MAX_POSITIONS", "family_of", "twin"]

MAX_POSITIONS = 1024
"""Tokens of a text that a twin takes, where our model takes any number (its positions are
computed)."""

_NEVER = -1e9
"""Bias of a target token that the larger of two vocabularies has and the target's has not."""


def family_of(module: nn.Module) -> str:
    """The model_type in transformers that computes what `module` computes; WrongTask says why there
    is none."""
    if isinstance(module, Seq2SeqModel) and isinstance(module.positions, SinusoidalPositions):
        return "pegasus" if _is_pre_norm(module.encoder) else "marian"
    if isinstance(module, CausalLanguageModel):
        if _is_pre_norm(module.stack):
            return "gpt2"
        inner = module.stack.layers[0].feed_forward.inner.out_features
        if inner <= 4 * module.d_model:
            return "openai-gpt"
        why = (
            "the post-norm family, openai-gpt, has a feed-forward layer 4 · d_model wide, this "
            f"one is {inner} wide"
        )
    else:
        why = _REASONS.get(type(module).__name__, "transformers has no family that computes it")
    raise WrongTask(
        f"{type_of(module)} has no twin in transformers: {why}; --format copy gives the folder "
        "that llm_magics loads"
    )


_REASONS = {
    "MaskedLanguageModel": "its masked language models put a dense layer between the last layer and the vocabulary",  # noqa: E501  a table or a pattern
    "RecurrentSeq2Seq": "it has no recurrent translators",
    "RecurrentLanguageModel": "it has no LSTM, GRU or RNN",
    "TextClassifier": "its classifiers normalise the embeddings or put a dense layer before the classes",  # noqa: E501  a table or a pattern
}


def twin(module: nn.Module, special: dict[str, int]) -> PreTrainedModel:
    """The transformers model, float32 on the CPU, in eval mode, whose logits are those of `module`.

    special: ids of "pad", "bos" and "eos". Raises WrongTask where there is no such model.
    """
    make = {
        "pegasus": _translator,
        "marian": _translator,
        "gpt2": _gpt2,
        "openai-gpt": _openai_gpt,
    }[family_of(module)]
    with (
        torch.no_grad(),
        torch.random.fork_rng(devices=[]),
    ):  # the weights that a new model draws are replaced
        model, tensors = make(module.cpu().float(), special)
        wanted = model.state_dict()
        model.load_state_dict({name: tensors[name] for name in wanted})
    model.generation_config = _generation(special, model.config)
    return model.eval()


def _is_pre_norm(stack: nn.Module) -> bool:
    return not isinstance(stack.norm, nn.Identity)


def _generation(special: dict[str, int], config: PreTrainedConfig) -> GenerationConfig:
    from transformers import GenerationConfig

    limits = (
        {"decoder_start_token_id": special["bos"], "max_new_tokens": MAX_POSITIONS // 2}
        if config.is_encoder_decoder
        else {"max_length": config.n_positions}
    )
    return GenerationConfig(num_beams=1, do_sample=False, **_marks(special), **limits)


# Translators


def _translator(
    module: Seq2SeqModel, special: dict[str, int]
) -> tuple[PreTrainedModel, dict[str, Tensor]]:
    from transformers import (
        MarianConfig,
        MarianMTModel,
        PegasusConfig,
        PegasusForConditionalGeneration,
    )

    pre_norm = _is_pre_norm(module.encoder)
    source, target = module.source_embedding.weight, module.target_embedding.weight
    shared = (
        module.source_embedding is module.target_embedding and module.generator.weight is target
    )
    settings = {
        **_sizes(module),
        **_marks(special),
        "tie_word_embeddings": shared,
        "decoder_start_token_id": special["bos"],
        "forced_eos_token_id": None,
    }
    if pre_norm:
        size = max(len(source), len(target))  # one size for both sides
        model = PegasusForConditionalGeneration(PegasusConfig(vocab_size=size, **settings))
    else:
        size = None
        model = MarianMTModel(
            MarianConfig(
                vocab_size=len(source),
                decoder_vocab_size=len(target),
                share_encoder_decoder_embeddings=shared,
                **settings,
            )
        )
    order = torch.cat(
        (torch.arange(0, module.d_model, 2), torch.arange(1, module.d_model, 2))
    )  # sines, then cosines
    positions = _computed(module)[:, order]
    tensors = {
        "model.shared.weight": _grown(source[:, order], size),
        "model.encoder.embed_tokens.weight": _grown(source[:, order], size),
        "model.decoder.embed_tokens.weight": _grown(target[:, order], size),
        "model.encoder.embed_positions.weight": positions,
        "model.decoder.embed_positions.weight": positions,
        "lm_head.weight": _grown(module.generator.weight[:, order], size),
        "final_logits_bias": _grown(module.generator.bias, size, _NEVER)[None],
    }
    for side, stack in (("encoder", module.encoder), ("decoder", module.decoder)):
        for number, layer in enumerate(stack.layers):
            tensors |= _bart_layer(layer, f"model.{side}.layers.{number}", order)
        if pre_norm:
            tensors |= _norm(stack.norm, f"model.{side}.layer_norm", order)
    return model, tensors


def _sizes(module: Seq2SeqModel) -> dict[str, object]:
    encoder, decoder = module.encoder.layers, module.decoder.layers
    some = (encoder or decoder)[0]
    heads, inner = some.self_attention.n_head, some.feed_forward.inner.out_features
    return {
        "d_model": module.d_model,
        "encoder_layers": len(encoder),
        "decoder_layers": len(decoder),
        "encoder_attention_heads": heads,
        "decoder_attention_heads": heads,
        "encoder_ffn_dim": inner,
        "decoder_ffn_dim": inner,
        "activation_function": "relu",
        "scale_embedding": True,
        "max_position_embeddings": MAX_POSITIONS,
        "dropout": float(module.dropout.p),
        "attention_dropout": 0.0,
        "activation_dropout": 0.0,
    }


def _bart_layer(layer: nn.Module, prefix: str, order: Tensor) -> dict[str, Tensor]:
    """One layer under the names that BART gave to all of its kind, the width in another order."""
    attentions = {"self_attn": layer.self_attention}
    norms = {"final_layer_norm": layer.around_feed_forward.norm}
    if hasattr(layer, "cross_attention"):
        attentions["encoder_attn"] = layer.cross_attention
        norms |= {
            "self_attn_layer_norm": layer.around_self.norm,
            "encoder_attn_layer_norm": layer.around_cross.norm,
        }
    else:
        norms["self_attn_layer_norm"] = layer.around_attention.norm
    tensors = {}
    for name, attention in attentions.items():
        for theirs, ours in (
            ("q_proj", attention.query),
            ("k_proj", attention.key),
            ("v_proj", attention.value),
        ):
            tensors |= _linear(ours, f"{prefix}.{name}.{theirs}", inputs=order)
        tensors |= _linear(attention.output, f"{prefix}.{name}.out_proj", outputs=order)
    tensors |= _linear(layer.feed_forward.inner, f"{prefix}.fc1", inputs=order)
    tensors |= _linear(layer.feed_forward.outer, f"{prefix}.fc2", outputs=order)
    for name, norm in norms.items():
        tensors |= _norm(norm, f"{prefix}.{name}", order)
    return tensors


def _linear(
    layer: nn.Linear,
    prefix: str,
    inputs: Tensor | slice = slice(None),
    outputs: Tensor | slice = slice(None),
) -> dict[str, Tensor]:
    return {
        f"{prefix}.weight": layer.weight[outputs][:, inputs],
        f"{prefix}.bias": layer.bias[outputs],
    }


def _norm(
    norm: nn.LayerNorm, prefix: str, order: Tensor | slice = slice(None)
) -> dict[str, Tensor]:
    return {f"{prefix}.weight": norm.weight[order], f"{prefix}.bias": norm.bias[order]}


def _grown(tensor: Tensor, size: int | None, value: float = 0.0) -> Tensor:
    """`tensor` with rows of `value` added up to `size` rows."""
    missing = 0 if size is None else size - len(tensor)
    return (
        torch.cat((tensor, tensor.new_full((missing, *tensor.shape[1:]), value)))
        if missing
        else tensor
    )


# Language models


def _gpt2(
    module: CausalLanguageModel, special: dict[str, int]
) -> tuple[PreTrainedModel, dict[str, Tensor]]:
    from transformers import GPT2Config, GPT2LMHeadModel

    some, dropout = module.stack.layers[0], float(module.dropout.p)
    positions, head = _positions(module), _head_without_bias(module, module.stack.norm)
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=len(head),
            n_positions=len(positions),
            n_embd=module.d_model,
            n_layer=len(module.stack.layers),
            n_head=some.self_attention.n_head,
            n_inner=some.feed_forward.inner.out_features,
            activation_function="relu",
            resid_pdrop=dropout,
            embd_pdrop=dropout,
            attn_pdrop=0.0,
            tie_word_embeddings=False,
            **_marks(special),
        )
    )
    tensors = {
        "transformer.wte.weight": module.embedding.weight * math.sqrt(module.d_model),
        "transformer.wpe.weight": positions,
        "lm_head.weight": head,
        "transformer.ln_f.weight": torch.ones(module.d_model),
        "transformer.ln_f.bias": torch.ones(module.d_model),
    }
    for number, layer in enumerate(module.stack.layers):
        tensors |= _gpt_layer(layer, f"transformer.h.{number}")
    return model, tensors


def _openai_gpt(
    module: CausalLanguageModel, special: dict[str, int]
) -> tuple[PreTrainedModel, dict[str, Tensor]]:
    from transformers import OpenAIGPTConfig, OpenAIGPTLMHeadModel

    last, dropout = module.stack.layers[-1], float(module.dropout.p)
    positions, head = _positions(module), _head_without_bias(module, last.around_feed_forward.norm)
    model = OpenAIGPTLMHeadModel(
        OpenAIGPTConfig(
            vocab_size=len(head),
            n_positions=len(positions),
            n_embd=module.d_model,
            n_layer=len(module.stack.layers),
            n_head=last.self_attention.n_head,
            afn="relu",
            resid_pdrop=dropout,
            embd_pdrop=dropout,
            attn_pdrop=0.0,
            tie_word_embeddings=False,
            **_marks(special),
        )
    )
    tensors = {
        "transformer.tokens_embed.weight": module.embedding.weight * math.sqrt(module.d_model),
        "transformer.positions_embed.weight": positions,
        "lm_head.weight": head,
    }
    for number, layer in enumerate(module.stack.layers):
        tensors |= _gpt_layer(layer, f"transformer.h.{number}", 4 * module.d_model)
    for name in ("weight", "bias"):
        tensors[f"transformer.h.{len(module.stack.layers) - 1}.ln_2.{name}"] = torch.ones(
            module.d_model
        )
    return model, tensors


def _marks(special: dict[str, int]) -> dict[str, int]:
    return {f"{name}_token_id": special[name] for name in ("pad", "bos", "eos")}


def _gpt_layer(layer: nn.Module, prefix: str, inner: int | None = None) -> dict[str, Tensor]:
    """One layer under the names of GPT and GPT-2, whose matrices are transposed; the hidden layer
    filled up to `inner`."""
    attention, feed_forward = layer.self_attention, layer.feed_forward
    parts = (attention.query, attention.key, attention.value)
    return {
        f"{prefix}.attn.c_attn.weight": torch.cat([part.weight for part in parts]).T,  # (D, 3D)
        f"{prefix}.attn.c_attn.bias": torch.cat([part.bias for part in parts]),
        f"{prefix}.attn.c_proj.weight": attention.output.weight.T,
        f"{prefix}.attn.c_proj.bias": attention.output.bias,
        f"{prefix}.mlp.c_fc.weight": _grown(
            feed_forward.inner.weight, inner
        ).T,  # what is added gives relu(0) = 0
        f"{prefix}.mlp.c_fc.bias": _grown(feed_forward.inner.bias, inner),
        f"{prefix}.mlp.c_proj.weight": _grown(feed_forward.outer.weight.T, inner),
        f"{prefix}.mlp.c_proj.bias": feed_forward.outer.bias,
        **_norm(layer.around_attention.norm, f"{prefix}.ln_1"),
        **_norm(layer.around_feed_forward.norm, f"{prefix}.ln_2"),
    }


def _positions(module: CausalLanguageModel) -> Tensor:
    """The positions (N, D) that are added to the embeddings, learned or computed."""
    if isinstance(module.positions, LearnedPositions):
        return module.positions.table
    return _computed(module)


def _computed(module: nn.Module) -> Tensor:
    return module.positions(torch.zeros(1, MAX_POSITIONS, module.d_model))[0]  # (N, D)


def _head_without_bias(module: CausalLanguageModel, norm: nn.LayerNorm) -> Tensor:
    """W′ (V, D) of this module's docstring, in double precision until the end: then γ and β of
    `norm` are both 1."""
    weight, gamma, beta = (
        tensor.double() for tensor in (module.generator.weight, norm.weight, norm.bias)
    )
    rest = weight @ beta + module.generator.bias.double() - weight @ gamma  # (V,)
    return (weight * gamma + rest[:, None] / module.d_model).float()
