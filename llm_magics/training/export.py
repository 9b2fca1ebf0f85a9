"""The model of a run, exported so that every task can use it as run:NAME."""

from __future__ import annotations

import copy

import torch

from llm_magics.models.house import save_house
from llm_magics.training import checkpoint
from llm_magics.training.evaluate import metrics_of, validation_loss
from llm_magics.training.runs import Run
from llm_magics.training.setup import Setup, model_arguments

__all__ = ["export"]


def export(run: Run, setup: Setup, best_step: int | None, seconds: float) -> dict[str, float]:
    """Write model/ from the best weights (or the mean of the last checkpoints, if better); returns held-out metrics."""
    model, chosen = _best_model(run, setup, best_step)
    part = "test" if setup.texts["test"] else "validation"
    metric = setup.recipe.evaluation.metric
    wanted = ["exact_match"] if metric == "exact_match" else ["chrf", "bleu"]
    metrics = metrics_of(model, setup.tokenizer, setup.texts[part], wanted, setup.device) if setup.texts[part] else {}
    data = setup.recipe.data
    save_house(run.model_folder, model, arguments=model_arguments(setup.recipe, setup.vocab_size),
               task=setup.recipe.task, source_language=data.source_language, target_language=data.target_language,
               source_tokenizer=setup.tokenizer.source, target_tokenizer=setup.tokenizer.target,
               card=_card(run, setup, chosen, part, metrics, seconds))
    return metrics


def _best_model(run: Run, setup: Setup, best_step: int | None) -> tuple[torch.nn.Module, str]:
    """A copy of the model with the weights of lowest validation loss, and what they are."""
    paths = checkpoint.list_checkpoints(run.checkpoints)
    candidates = {f"step {best_step}": [p for p in paths if p.name.endswith(f"{best_step:08d}")]} if best_step else {}
    average = setup.recipe.evaluation.average_last
    if average > 1 and len(paths) >= average:
        candidates[f"mean of the last {average} checkpoints"] = paths[-average:]
    model, best = copy.deepcopy(setup.model).eval(), None
    for name, members in candidates.items():
        state = _mean([checkpoint.weights(path) for path in members])
        model.load_state_dict(checkpoint.with_shared_names(state, model))
        loss = validation_loss(model, setup.validation, setup.device) if setup.validation else 0.0
        if best is None or loss < best[0]:
            best = (loss, name, {key: value.clone() for key, value in model.state_dict().items()})
    if best is None:
        return model, "the weights at the end"
    model.load_state_dict(best[2])
    return model, f"{best[1]}, validation loss {best[0]:.4f} nats a token"


def _mean(states: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    return {name: torch.stack([state[name].double() for state in states]).mean(0).to(states[0][name].dtype)
            for name in states[0]}


def _card(run: Run, setup: Setup, chosen: str, part: str, metrics: dict[str, float], seconds: float) -> str:
    recipe = setup.recipe
    scores = "\n".join(f"- {name} on the {part} rows ({len(setup.texts[part]):,}): {value:.2f}"
                       for name, value in metrics.items())
    return (f"# run:{run.name}\n\n{recipe.description}\n\nTrained by llm_magics with the recipe {recipe.name!r} "
            f"(seed {recipe.seed}) in {seconds:,.0f} s on {setup.device}; torch {torch.__version__}, "
            f"{torch.get_num_threads()} threads.\nWeights: {chosen}.\nTraining rows: {len(setup.train):,}; "
            f"left out as too long: {setup.left_out}.\n\n{scores}\n")
