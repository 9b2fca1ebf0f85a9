"""What a training would take: whether its data can be read, its parameters and memory, without
training anything."""

from __future__ import annotations

import json

from llm_magics.display.progress import counted
from llm_magics.models.backends.engine import TORCH, load_key
from llm_magics.models.manager.device import memory
from llm_magics.models.manager.entry import LoadPlan
from llm_magics.models.manager.plan import plan_load
from llm_magics.models.reference import parse_reference, run_model_folder
from llm_magics.nn import ARCHITECTURES
from llm_magics.nn.outline import outline
from llm_magics.training.data.corpus import check_columns
from llm_magics.training.objectives import objective_class
from llm_magics.training.recipe.recipe import Recipe
from llm_magics.training.run.build import count_parameters
from llm_magics.training.run.setup import Given

__all__ = ["training_plan"]

_BYTES = {"adamw": 16, "adam": 16, "momentum": 12, "sgd": 8}
"""A parameter in float32 with its gradient, and what the optimizer keeps of it."""


def training_plan(recipe: Recipe, device: str, given: Given) -> LoadPlan:
    """What training the recipe would take; activations come on top. Only the first rows of the data
    are read.

    Raises what a training would for columns that are not there, and for an object of the notebook
    that is missing.
    """
    kind = objective_class(recipe)
    kind.needs(given)
    check_columns(recipe, kind.kinds, given.data)
    if recipe.model.reference:
        return _fine_tuning_plan(recipe, device)
    if recipe.task == "custom":
        count = sum(parameter.numel() for parameter in given.module.parameters())
        said = counted(count, "parameter")
    elif recipe.model.from_run:
        config = json.loads(
            (run_model_folder(recipe.model.from_run) / "config.json").read_text(encoding="utf-8")
        )
        model = outline(ARCHITECTURES[config["architecture"]], **config["arguments"])
        count = sum(parameter.numel() for parameter in model.parameters())
        said = f"{counted(count, 'parameter')}, those of run:{recipe.model.from_run}"
    else:
        count = count_parameters(recipe)
        said = (
            f"at most {counted(count, 'parameter')} (vocabulary limit "
            f"{recipe.tokenizer.vocab_size:,})"
        )
    return LoadPlan(
        model=f"recipe {recipe.name}, {said}",
        device=device,
        dtype="float32",
        needed_bytes=_BYTES[recipe.optimizer.name] * count,
        free_bytes=memory(device)[0],
        download_bytes=0,
        cached=True,
        note="weights, gradients and optimizer; activations come on top",
    )


def _fine_tuning_plan(recipe: Recipe, device: str) -> LoadPlan:
    """The plan of loading a private float32 copy, with what learning takes beside the weights."""
    reference = parse_reference(recipe.model.reference)
    plan = plan_load(
        reference,
        None,
        load_key(reference, "float32", device, device, TORCH),
        free_bytes=memory(device)[0],
    )
    count = None if plan.needed_bytes is None else plan.needed_bytes // 4
    learning = 4 if recipe.lora.rank else _BYTES[recipe.optimizer.name]
    said = (
        "parameters unknown before the download"
        if count is None
        else f"about {counted(count, 'parameter')}"
    )
    how = (
        "weights; the updates of LoRA and activations come on top"
        if recipe.lora.rank
        else "weights, gradients and optimizer; activations come on top"
    )
    return LoadPlan(
        model=f"recipe {recipe.name}, {recipe.model.reference}, {said}",
        device=device,
        dtype="float32",
        needed_bytes=None if count is None else learning * count,
        free_bytes=plan.free_bytes,
        download_bytes=plan.download_bytes,
        cached=plan.cached,
        note="; ".join(filter(None, [plan.note, how])),
        folder=plan.folder,
    )
