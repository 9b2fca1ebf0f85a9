"""The model of a run, exported so that every task can use it as run:NAME."""

from __future__ import annotations

import torch

from llm_magics.training.run import checkpoint
from llm_magics.training.run.evaluate import held_out_figures, loss_of
from llm_magics.training.run.setup import Setup
from llm_magics.training.runs.runs import Run

__all__ = ["export"]


def export(run: Run, setup: Setup, best_step: int | None, seconds: float) -> dict[str, float]:
    """Write model/ from the best weights (or the mean of the last checkpoints, if better); returns
    held-out metrics."""
    model, chosen = _best_model(run, setup, best_step)
    part, metrics = held_out_figures(setup.objective, model)
    setup.objective.export(
        run.model_folder, model, _card(run, setup, chosen, part, metrics, seconds)
    )
    return metrics


def _best_model(run: Run, setup: Setup, best_step: int | None) -> tuple[torch.nn.Module, str]:
    """A copy of the model with the weights of lowest validation loss, and what they are."""
    paths = checkpoint.list_checkpoints(run.checkpoints)
    candidates = (
        {f"step {best_step}": [p for p in paths if p.name.endswith(f"{best_step:08d}")]}
        if best_step
        else {}
    )
    average = setup.recipe.evaluation.average_last
    if average > 1 and len(paths) >= average:
        candidates[f"mean of the last {average} checkpoints"] = paths[-average:]
    model, best = setup.objective.copied().eval(), None
    for name, members in candidates.items():
        state = _mean([checkpoint.weights(path) for path in members])
        model.load_state_dict(checkpoint.with_shared_names(state, model))
        loss = loss_of(setup.objective, model)
        if best is None or loss < best[0]:
            best = (loss, name, {key: value.clone() for key, value in model.state_dict().items()})
    if best is None:
        return model, "the weights at the end"
    model.load_state_dict(best[2])
    return model, f"{best[1]}, validation loss {best[0]:.4f} {setup.objective.loss_unit}".rstrip()


def _mean(states: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    return {
        name: torch.stack([state[name].double() for state in states])
        .mean(0)
        .to(states[0][name].dtype)
        for name in states[0]
    }


def _card(
    run: Run, setup: Setup, chosen: str, part: str, metrics: dict[str, float], seconds: float
) -> str:
    recipe = setup.recipe
    beams = recipe.evaluation.beams
    how = f", {beams} beams" if beams > 1 else ""
    scores = "\n".join(
        f"- {name} on the {part} rows ({len(setup.corpus[part]):,}{how}): {value:.2f}"
        for name, value in metrics.items()
    )
    notes = "\n".join(f"- {note}" for note in setup.notes())
    licence = (
        f"\nData: {recipe.data.attribution or recipe.data.train}; {recipe.data.licence}.\n"
        if recipe.data.licence
        else ""
    )
    return (
        f"# run:{run.name}\n\n{recipe.description}\n\nTrained by llm_magics with the recipe "
        f"{recipe.name!r} (seed {recipe.seed}) in {seconds:,.0f} s on {setup.device}; torch "
        f"{torch.__version__}, {torch.get_num_threads()} threads.\nWeights: {chosen}.\nTraining "
        f"rows: {len(setup.corpus.train):,}.\n"
        f"{notes}\n{licence}\n{scores}\n"
    )
