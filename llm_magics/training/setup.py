"""From a recipe to everything a training needs: encoded rows, tokenizer, model, optimizer."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch

from llm_magics.errors import DataError
from llm_magics.models.house_tokenizer import HouseTokenizer
from llm_magics.nn import Seq2SeqModel
from llm_magics.nn.outline import outline
from llm_magics.training.data import Encoded, Pair, batches, load_data
from llm_magics.training.optimizers import make_optimizer
from llm_magics.training.recipe import Recipe
from llm_magics.training.runs import Run
from llm_magics.training.tokenizer import SPECIAL, train_tokenizer

__all__ = ["Setup", "count_parameters", "model_arguments", "prepare"]


@dataclass
class Setup:
    """What the loop works on."""

    recipe: Recipe
    device: torch.device
    tokenizer: HouseTokenizer
    model: Seq2SeqModel
    optimizer: torch.optim.Optimizer
    train: list[Encoded]
    validation: list[Encoded]
    texts: dict[str, list[Pair]]
    """The held-out rows as text: "validation" and "test"."""
    total_steps: int
    left_out: dict[str, int] = field(default_factory=dict)
    """Rows longer than the recipe's limit, by part."""

    @property
    def vocab_size(self) -> int:
        return self.tokenizer.source.get_vocab_size()


def prepare(run: Run, device: torch.device | str) -> Setup:
    """Read the data, train or read the tokenizer, build the model (seeded), and count the steps."""
    recipe, device = run.recipe(), torch.device(device)
    data = load_data(recipe.data)
    tokenizer = _tokenizer(run, recipe, data.train)
    left_out: dict[str, int] = {}
    train = _encode(tokenizer, data.train, recipe.batch.max_tokens_per_side, "train", left_out)
    validation = _encode(tokenizer, data.validation, recipe.batch.max_tokens_per_side, "validation", left_out)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model = Seq2SeqModel(**model_arguments(recipe, tokenizer.source.get_vocab_size())).to(device)
    per_epoch = sum(1 for _ in batches(train, recipe.batch.tokens, seed=recipe.seed, epoch=0, join=recipe.data.join,
                                       longest=recipe.batch.max_tokens_per_side))
    return Setup(recipe, device, tokenizer, model, make_optimizer(model.parameters(), recipe.optimizer), train,
                 validation, {"validation": data.validation, "test": data.test},
                 max(1, math.ceil(per_epoch * recipe.schedule.epochs)), left_out)


def model_arguments(recipe: Recipe, vocab_size: int) -> dict[str, Any]:
    """The constructor arguments of the recipe's model."""
    model = recipe.model
    return {"src_vocab_size": vocab_size, "tgt_vocab_size": vocab_size, "d_model": model.d_model, "nhead": model.nhead,
            "num_encoder_layers": model.num_encoder_layers, "num_decoder_layers": model.num_decoder_layers,
            "dim_feedforward": model.dim_feedforward, "dropout": model.dropout,
            "shared_embeddings": recipe.tokenizer.shared, "norm_first": model.norm_first}


def count_parameters(recipe: Recipe) -> int:
    """Parameters of the recipe's model, were its vocabulary filled; allocates nothing."""
    shapes = outline(Seq2SeqModel, **model_arguments(recipe, recipe.tokenizer.vocab_size))
    return sum(parameter.numel() for parameter in shapes.parameters())


def _tokenizer(run: Run, recipe: Recipe, pairs: list[Pair]) -> HouseTokenizer:
    from tokenizers import Tokenizer

    if run.tokenizer_file.is_file():
        tokenizer = Tokenizer.from_file(str(run.tokenizer_file))
    else:
        tokenizer = train_tokenizer((text for pair in pairs for text in pair), recipe.tokenizer)
        tokenizer.save(str(run.tokenizer_file))
    return HouseTokenizer(tokenizer, tokenizer, SPECIAL)


def _encode(tokenizer: HouseTokenizer, pairs: list[Pair], longest: int, part: str, left_out: dict[str, int]) -> list[Encoded]:
    """Token ids of both sides, each with the end mark; rows longer than `longest` are left out and counted."""
    encoded = list(zip(tokenizer.encode_source([source for source, _ in pairs]),
                       tokenizer.encode_target([target for _, target in pairs]), strict=True))
    kept = [pair for pair in encoded if max(map(len, pair)) <= longest]
    left_out[part] = len(encoded) - len(kept)
    if pairs and not kept:
        raise DataError(f"every {part} row is longer than batch.max_tokens_per_side = {longest}; raise it")
    return kept
