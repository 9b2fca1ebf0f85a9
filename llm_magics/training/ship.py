"""Turn a run into an embedded model: weights as float16, measured as shipped, with a card that says
everything.

python -m llm_magics.training.ship RUN NAME [--root FOLDER]
python -m llm_magics.training.ship --all            all translators, see ship_translators
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
from pathlib import Path

import torch

from llm_magics.errors import DataError, LLMMagicsError, WrongTask
from llm_magics.models.folder.native import load_native, save_native
from llm_magics.models.reference import embedded_root, runs_root
from llm_magics.training.data.corpus import Corpus
from llm_magics.training.objectives.base import Objective
from llm_magics.training.recipe.recipe import Recipe, load_recipe
from llm_magics.training.run.evaluate import held_out_figures
from llm_magics.training.run.events import Finished
from llm_magics.training.run.setup import prepare
from llm_magics.training.runs.runs import Run, find_run
from llm_magics.training.ship_translators import add_arguments, ship_all

__all__ = ["ship"]


_FIGURES = {
    "bleu": "sacreBLEU (cased, detokenised)",
    "chrf": "chrF2",
    "perplexity": "perplexity of a token",
    "bits": "bits a character",
}
_HOW = {
    "translate": "greedy decoding of the {rows:,} test rows",
    "language-model": "the {rows:,} test texts",
}
_LIMITS = {
    "translate": "Limits: it has seen the sentences of its data only, most of them short. Long sentences, "
    "names, technical or\n"
    "literary text come out wrong or invented; for real work give a larger model with --model.",
    "language-model": "Limits: it goes on in the manner of what it has read, knows nothing of the world and "
    "follows no request;\n"
    "for real work give a larger model with --model.",
}


def ship(run: Run, name: str) -> Path:
    """Write the run's exported model, a translator or a language model, to the package as
    embedded:NAME; the folder."""
    recipe = load_recipe(run.recipe().name)  # the shipped recipe, with licence and attribution
    if recipe.task not in _HOW:
        raise WrongTask(
            f"{run.name} was trained for {recipe.task}; what ships is made for {' or '.join(_HOW)}"
        )
    objective = prepare(run, "cpu").objective
    _check_disjoint(objective.corpus)
    folder = embedded_root() / name
    module, tokenizer, config = load_native(run.model_folder)
    save_native(
        folder,
        module,
        arguments=config["arguments"],
        task=config["task"],
        special=config["special"],
        source_language=config["source_language"],
        target_language=config["target_language"],
        source_tokenizer=tokenizer.source,
        target_tokenizer=tokenizer.target,
        dtype="float16",
        trained_tokens=config.get("trained_tokens"),
    )
    rounded, _, _ = load_native(folder)  # what a user gets, not what was trained
    _, metrics = held_out_figures(objective, rounded.float())
    if "perplexity" in metrics:
        metrics["bits"] = _bits_a_character(objective, metrics["perplexity"])
    (folder / "card.md").write_text(
        _card(name, run, recipe, objective.corpus, metrics, rounded), encoding="utf-8"
    )
    return folder


def _check_disjoint(data: Corpus) -> None:
    """No held-out text, on either side, may occur in training."""
    for side, what in enumerate(("source", "target")[: len(data.test[0])]):
        shared = {row[side] for row in data.test} & {row[side] for row in data.train}
        if shared:
            raise DataError(
                f"{len(shared)} {what} texts of the test rows occur in training, "
                f"for example {min(shared)[:60]!r}; no figure on them would mean anything"
            )


def _bits_a_character(objective: Objective, perplexity: float) -> float:
    """The same loss for texts cut into any tokens: bits of all targets, divided by the
    characters."""
    targets = sum(objective.targets(batch) for batch in objective.fixed_batches("test"))
    return math.log2(perplexity) * targets / sum(len(text) for (text,) in objective.corpus.test)


def _card(
    name: str,
    run: Run,
    recipe: Recipe,
    data: Corpus,
    metrics: dict[str, float],
    module: torch.nn.Module,
) -> str:
    end = [event for event in run.events() if isinstance(event, Finished)][-1]
    ran, rows = run.recipe(), "sentence pairs" if recipe.task == "translate" else "texts"
    size = sum(parameter.numel() for parameter in module.parameters())
    figures = "\n".join(
        f"| {_FIGURES[metric]} | {value:.{2 if metric == 'bits' else 1}f} |"
        for metric, value in metrics.items()
    )
    return f"""# embedded:{name}

{recipe.description}

| | |
|---|---|
| model | Transformer, {_layers(ran)} layers, width {ran.model.d_model}, {ran.model.nhead} heads, {size:,} parameters, stored as float16 |
| data | {recipe.data.attribution} |
| licence of the data | {recipe.data.licence}; the weights are passed on under the same terms, with this attribution |
| training rows | {len(data.train):,} {rows} |
| recipe | {recipe.name}, seed {ran.seed}, {ran.schedule.epochs:g} epochs, {end.step:,} steps |
| commit | {_commit()} |
| training time | {end.seconds:,.0f} s on {_machine(run)} |
{figures}

The figures: {_HOW[recipe.task].format(rows=len(data.test))} with the weights as shipped. No test text occurs in training.
{_notes(run)}
{_LIMITS[recipe.task]}

Run it again: `python -m llm_magics.training {recipe.name}`, then `python -m llm_magics.training.ship RUN {name}`.
"""


def _layers(recipe: Recipe) -> str:
    model = recipe.model
    return (
        f"{model.num_encoder_layers} + {model.num_decoder_layers}"
        if recipe.task == "translate"
        else str(model.num_layers)
    )


def _notes(run: Run) -> str:
    """What a person wrote about the run, in its notes.md."""
    path = run.folder / "notes.md"
    return f"\n{path.read_text(encoding='utf-8').strip()}\n" if path.is_file() else ""


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent,
    )
    return done.stdout.strip() or "unknown"


def _machine(run: Run) -> str:
    started = run.folder / "machine.txt"
    return (
        started.read_text(encoding="utf-8").strip() if started.is_file() else "an unknown machine"
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m llm_magics.training.ship", description=__doc__.splitlines()[0]
    )
    parser.add_argument("run", nargs="?")
    parser.add_argument("name", nargs="?")
    parser.add_argument("--root", type=Path, default=runs_root())
    add_arguments(parser)
    arguments = parser.parse_args()
    if not arguments.all and not arguments.name:
        parser.error("give RUN and NAME, or --all")
    try:
        if arguments.all:
            print(*ship_all(arguments), sep="\n")
            return 0
        print(ship(find_run(arguments.root, arguments.run), arguments.name))
    except LLMMagicsError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
