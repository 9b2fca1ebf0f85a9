"""The model of a run as it was at each checkpoint that was kept, to be looked at side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_magics.errors import RunError
from llm_magics.models.folder.adopt import adopt
from llm_magics.models.folder.native import load_native
from llm_magics.models.reference import Reference
from llm_magics.training.run import checkpoint
from llm_magics.training.runs.runs import Run

if TYPE_CHECKING:
    from llm_magics.models.backends.loaded import LoadedModel

__all__ = ["models_of_steps"]


def models_of_steps(run: Run, most: int = 12) -> list[tuple[str, LoadedModel]]:
    """("step N", model) for each checkpoint, oldest first, on the CPU; of more than `most`, as many
    spread evenly.

    Raises RunError where there are no checkpoints, or only a notebook or transformers knows how the
    model is built.
    """
    paths = checkpoint.list_checkpoints(run.checkpoints)
    if not paths:
        raise RunError(f"run {run.name} has kept no checkpoint")
    if (
        not (run.model_folder / "source_tokenizer.json").is_file()
        and not (run.model_folder / "tokenizer.json").is_file()
    ):
        raise RunError(
            f"run {run.name} has no exported model yet; let it train until it ends, or stop it"
        )
    if run.recipe().task == "custom" or (run.model_folder / "tokenizer_config.json").is_file():
        raise RunError(
            f"run {run.name} trained a model that was not built here, whose checkpoints cannot "
            "be opened alone"
        )
    chosen = (
        paths
        if len(paths) <= most
        else [paths[round(i * (len(paths) - 1) / (most - 1))] for i in range(most)]
    )
    found = []
    for path in chosen:
        module, tokenizer, config = load_native(run.model_folder)
        module.load_state_dict(checkpoint.with_shared_names(checkpoint.weights(path), module))
        step = f"step {int(path.name.rpartition('-')[2]):,}"
        found.append(
            (
                step,
                adopt(
                    Reference("run", run.name),
                    module,
                    tokenizer,
                    config.get("source_language") or None,
                    config.get("target_language") or None,
                ),
            )
        )
    return found
