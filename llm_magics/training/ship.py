"""Turn a run into an embedded model: weights as float16, measured as shipped, with a card that says everything.

    python -m llm_magics.training.ship RUN NAME [--root FOLDER]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import torch

from llm_magics.errors import DataError, LLMMagicsError
from llm_magics.models.house import load_house, save_house
from llm_magics.models.reference import embedded_root, runs_root
from llm_magics.training.data.corpus import Corpus
from llm_magics.training.events import Finished
from llm_magics.training.recipe import Recipe, load_recipe
from llm_magics.training.runs import Run, find_run
from llm_magics.training.setup import prepare

__all__ = ["ship"]


def ship(run: Run, name: str) -> Path:
    """Write the run's exported model to the package as embedded:NAME; returns the folder."""
    recipe = load_recipe(run.recipe().name)  # the shipped recipe, with licence and attribution
    objective = prepare(run, "cpu").objective
    _check_disjoint(objective.corpus)
    folder = embedded_root() / name
    module, tokenizer, config = load_house(run.model_folder)
    save_house(folder, module, arguments=config["arguments"], task=config["task"],
               source_language=config["source_language"], target_language=config["target_language"],
               source_tokenizer=tokenizer.source, target_tokenizer=tokenizer.target, dtype="float16")
    rounded, _, _ = load_house(folder)  # what a user gets, not what was trained
    predictions = objective.predict(rounded.float(), "test")
    metrics = objective.figures(["bleu", "chrf"], predictions, objective.expected("test"), None)
    (folder / "card.md").write_text(_card(name, run, recipe, objective.corpus, metrics, rounded), encoding="utf-8")
    return folder


def _check_disjoint(data: Corpus) -> None:
    """No held-out sentence, source or target, may occur in training."""
    for side, what in ((0, "source"), (1, "target")):
        shared = {pair[side] for pair in data.test} & {pair[side] for pair in data.train}
        if shared:
            raise DataError(f"{len(shared)} {what} sentences of the test rows occur in training, "
                            f"for example {min(shared)[:60]!r}; no figure on them would mean anything")


def _card(name: str, run: Run, recipe: Recipe, data: Corpus, metrics: dict[str, float],
          module: torch.nn.Module) -> str:
    end = [event for event in run.events() if isinstance(event, Finished)][-1]
    ran = run.recipe()
    size = sum(parameter.numel() for parameter in module.parameters())
    return f"""# embedded:{name}

{recipe.description}

| | |
|---|---|
| model | Transformer, {ran.model.num_encoder_layers} + {ran.model.num_decoder_layers} layers, width {ran.model.d_model}, {ran.model.nhead} heads, {size:,} parameters, stored as float16 |
| data | {recipe.data.attribution} |
| licence of the data | {recipe.data.licence}; the weights are passed on under the same terms, with this attribution |
| training rows | {len(data.train):,} sentence pairs |
| recipe | {recipe.name}, seed {ran.seed}, {ran.schedule.epochs:g} epochs, {end.step:,} steps |
| commit | {_commit()} |
| training time | {end.seconds:,.0f} s on {_machine(run)} |
| sacreBLEU (cased, detokenised) | {metrics["bleu"]:.1f} |
| chrF2 | {metrics["chrf"]:.1f} |

Both figures: greedy decoding of the {len(data.test):,} test rows with the weights as shipped. No test sentence,
source or target, occurs in training.
{_notes(run)}
Limits: it has seen short everyday sentences only. Long sentences, names, technical or literary text come out
wrong or invented; for real work give a larger model with --model.

Run it again: `python -m llm_magics.training {recipe.name}`, then `python -m llm_magics.training.ship RUN {name}`.
"""


def _notes(run: Run) -> str:
    """What a person wrote about the run, in its notes.md."""
    path = run.folder / "notes.md"
    return f"\n{path.read_text(encoding='utf-8').strip()}\n" if path.is_file() else ""


def _commit() -> str:
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False,
                          cwd=Path(__file__).parent)
    return done.stdout.strip() or "unknown"


def _machine(run: Run) -> str:
    started = run.folder / "machine.txt"
    return started.read_text(encoding="utf-8").strip() if started.is_file() else "an unknown machine"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m llm_magics.training.ship", description=__doc__.splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("name")
    parser.add_argument("--root", type=Path, default=runs_root())
    arguments = parser.parse_args()
    try:
        print(ship(find_run(arguments.root, arguments.run), arguments.name))
    except LLMMagicsError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
