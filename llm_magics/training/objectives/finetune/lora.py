"""Low-rank adaptation (Hu et al. 2021, arXiv 2106.09685) through `peft`: W x becomes W x + (α / r)
B A x; A, B are trained."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch import nn

from llm_magics.errors import RecipeError
from llm_magics.extras import install_hint
from llm_magics.training.recipe.recipe import Recipe

__all__ = ["adapted", "merged", "only_trained", "save_adapter"]

_TASK_TYPES = {
    "translate": "SEQ_2_SEQ_LM",
    "summarize": "SEQ_2_SEQ_LM",
    "language-model": "CAUSAL_LM",
    "classify": "SEQ_CLS",
    "label-tokens": "TOKEN_CLS",
    "answer": "QUESTION_ANS",
}
_USUAL = (
    ("q_proj", "v_proj"),
    ("query", "value"),
    ("q_lin", "v_lin"),
    ("query_proj", "value_proj"),
    ("q", "v"),
    ("query_key_value",),
    ("c_attn",),
    ("qkv_proj",),
)
"""What families call the projections of queries and values, for those that peft has no entry
for."""


def adapted(module: nn.Module, recipe: Recipe, new: list[str]) -> Any:
    """The module in a PeftModel, which changes it in place: only the low-rank updates and the `new`
    modules are trained.

    Its state dict holds what is trained, and so do checkpoints. Raises RecipeError where peft is
    not installed or no layer has one of the names in lora.targets.
    """
    try:
        import peft
    except ImportError:
        raise RecipeError(
            f"lora.rank needs peft: {install_hint('lora')}, or leave [lora] out to train all "
            "weights"
        ) from None
    lora = recipe.lora
    config = peft.LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=_targets(module, lora.targets),
        modules_to_save=_kept_whole(module, new) or None,
        task_type=_TASK_TYPES.get(recipe.task),
    )
    try:
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", FutureWarning
            )  # between the versions of peft and transformers, not the user's
            torch.manual_seed(recipe.seed)
            adapter = peft.get_peft_model(module, config)
    except ValueError as error:
        raise RecipeError(
            f"lora.targets = {list(lora.targets)}: {str(error).splitlines()[0][:160]}; the "
            f"linear layers of this model are {', '.join(_linear_names(module))}"
        ) from None
    only_trained(module)
    return adapter


def _targets(module: nn.Module, wanted: tuple[str, ...]) -> list[str] | str | None:
    """What peft is told: None leaves the choice to its table of families."""
    from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as KNOWN

    names = _linear_names(module)
    unknown = [
        name
        for name in wanted
        if name != "all-linear"
        and not any(full == name or full.endswith(f".{name}") for full, _ in module.named_modules())
    ]
    if unknown:
        raise RecipeError(
            f"lora.targets names {unknown[0]!r}; the linear layers of this model are "
            f"{', '.join(names)}"
        )
    if wanted:
        return wanted[0] if wanted == ("all-linear",) else list(wanted)
    if module.config.model_type in KNOWN:
        return None
    usual = next((pair for pair in _USUAL if set(pair) <= set(names)), None)
    if usual is None:
        raise RecipeError(
            f"peft knows no layers to adapt in {module.config.model_type} models; name some in "
            f"lora.targets: {', '.join(names)}"
        )
    return list(usual)


def _linear_names(module: nn.Module) -> list[str]:
    """The last parts of the names of linear layers, the most frequent first."""
    found = Counter(
        name.rpartition(".")[2]
        for name, part in module.named_modules()
        if isinstance(part, nn.Linear) or type(part).__name__ == "Conv1D"
    )
    return [name for name, _ in found.most_common()]


def _kept_whole(module: nn.Module, new: list[str]) -> list[str]:
    """The outermost modules that are new as a whole, to be trained without an adapter of their
    own."""
    inside = (
        {name for name, _ in module.base_model.named_modules()}
        if module.base_model is not module
        else set()
    )
    prefix = f"{module.base_model_prefix}."
    return sorted(
        {
            name
            if name.startswith(prefix) and name.removeprefix(prefix) in inside
            else name.split(".")[0]
            for name in new
        }
    )


def only_trained(module: nn.Module) -> None:
    """From now on the module's state dict leaves out its frozen parameters, and loading one does
    not miss them."""
    module.register_state_dict_post_hook(_leave_out_frozen)
    module.register_load_state_dict_post_hook(_miss_no_frozen)


def _frozen(module: nn.Module) -> set[str]:
    return {
        name
        for name, parameter in module.named_parameters(remove_duplicate=False)
        if not parameter.requires_grad
    }


def _leave_out_frozen(module: nn.Module, state: dict[str, Any], prefix: str, metadata: Any) -> None:
    for name in _frozen(module):
        state.pop(prefix + name, None)


def _miss_no_frozen(module: nn.Module, incompatible: Any) -> None:
    frozen = _frozen(module)
    incompatible.missing_keys[:] = [
        name for name in incompatible.missing_keys if name not in frozen
    ]


def save_adapter(adapter: Any, folder: Path, base: str) -> None:
    """The updates alone, as `peft.PeftModel.from_pretrained` reads them; base: reference of the
    model they belong to."""
    for config in adapter.peft_config.values():
        config.base_model_name_or_path, _, revision = base.partition("@")
        config.revision = revision or None
    adapter.save_pretrained(str(folder), safe_serialization=True, save_embedding_layers=False)
    (folder / "README.md").unlink(
        missing_ok=True
    )  # an empty form that names this machine's folders; card.md says more


def merged(adapter: Any) -> nn.Module:
    """The transformers model with W + (α / r) B A for each W; the adapter is used up."""
    module = adapter.merge_and_unload(safe_merge=True)
    for parameter in module.parameters():
        parameter.requires_grad_(True)  # nothing is left out of its state dict any more
    return module
