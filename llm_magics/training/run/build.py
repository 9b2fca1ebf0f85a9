"""The model of a recipe: which class of `nn`, with which arguments."""

from __future__ import annotations

from typing import Any

from torch.nn import Module

from llm_magics import nn
from llm_magics.errors import RecipeError
from llm_magics.nn.outline import outline
from llm_magics.training.recipe.recipe import Recipe

__all__ = ["count_parameters", "model_class"]

_ENCODERS = {"softmax-regression": "bag-of-words"}


def model_class(
    recipe: Recipe, source_size: int, target_size: int = 0, classes: int = 0
) -> tuple[type[Module], dict[str, Any]]:
    """The class and its constructor's arguments; RecipeError where the architecture cannot do the
    task.

    source_size and target_size: entries of the vocabularies (a model with one vocabulary has
    source_size only); classes: of a classifier.
    """
    task, model = recipe.task, recipe.model
    recurrent = model.architecture in ("rnn", "lstm", "gru")
    if model.architecture == "softmax-regression" and task != "classify":
        raise RecipeError(
            f"softmax-regression classifies texts; for task = {task!r} choose transformer, lstm "
            "or gru"
        )
    if task in ("translate", "summarize"):
        return _translator(recipe, source_size, target_size)
    if task == "masked-language-model":
        if recurrent:
            raise RecipeError(
                "a masked language model reads both sides of a gap at once; choose the "
                "architecture transformer"
            )
        return nn.MaskedLanguageModel, {
            **_transformer(recipe),
            "vocab_size": source_size,
            **_shared(recipe),
        }
    if task == "language-model":
        if recurrent:
            return nn.RecurrentLanguageModel, {
                **_recurrent(recipe),
                "vocab_size": source_size,
                "shared_embeddings": recipe.tokenizer.shared
                and model.embedding_size in (0, model.d_model),
            }
        return nn.CausalLanguageModel, {
            **_transformer(recipe),
            "vocab_size": source_size,
            **_shared(recipe),
        }
    if task in ("classify", "label-tokens"):
        return nn.TextClassifier, {
            "vocab_size": source_size,
            "n_classes": classes,
            "per_token": task == "label-tokens",
            "encoder": _ENCODERS.get(model.architecture, model.architecture),
            "d_model": model.d_model,
            "num_layers": model.num_layers,
            "nhead": model.nhead,
            "dim_feedforward": model.dim_feedforward,
            "dropout": model.dropout,
            "bidirectional": model.bidirectional,
        }
    raise RecipeError(f"task = {task!r} needs a model to fine-tune: give model.reference")


def _translator(
    recipe: Recipe, source_size: int, target_size: int
) -> tuple[type[Module], dict[str, Any]]:
    model = recipe.model
    sizes = {
        "src_vocab_size": source_size,
        "tgt_vocab_size": target_size,
        "dropout": model.dropout,
        "shared_embeddings": recipe.tokenizer.shared,
    }
    if model.architecture == "transformer":
        return nn.Seq2SeqModel, {
            **sizes,
            "d_model": model.d_model,
            "nhead": model.nhead,
            "num_encoder_layers": model.num_encoder_layers,
            "num_decoder_layers": model.num_decoder_layers,
            "dim_feedforward": model.dim_feedforward,
            "norm_first": model.norm_first,
        }
    return nn.RecurrentSeq2Seq, {
        **sizes,
        **_recurrent(recipe),
        "num_layers": model.num_encoder_layers,
        "attention": model.attention,
        "bidirectional": model.bidirectional and model.attention == "additive",
    }


def _transformer(recipe: Recipe) -> dict[str, Any]:
    model = recipe.model
    return {
        "d_model": model.d_model,
        "nhead": model.nhead,
        "num_layers": model.num_layers,
        "dim_feedforward": model.dim_feedforward,
        "dropout": model.dropout,
        "norm_first": model.norm_first,
    }


def _shared(recipe: Recipe) -> dict[str, Any]:
    """Left out where it is as ever, so that a model's arguments stay what older versions read."""
    return {} if recipe.tokenizer.shared else {"shared_embeddings": False}


def _recurrent(recipe: Recipe) -> dict[str, Any]:
    model = recipe.model
    return {
        "embedding_size": model.embedding_size or model.d_model,
        "hidden_size": model.d_model,
        "num_layers": model.num_layers,
        "cell": model.architecture,
        "dropout": model.dropout,
    }


def count_parameters(recipe: Recipe) -> int:
    """Parameters of the recipe's model, were its vocabulary filled (a classifier: with two
    classes); allocates nothing."""
    size = recipe.tokenizer.vocab_size + (
        recipe.task == "masked-language-model"
    )  # the mark of a gap
    cls, arguments = model_class(recipe, size, size, classes=2)
    return sum(parameter.numel() for parameter in outline(cls, **arguments).parameters())
