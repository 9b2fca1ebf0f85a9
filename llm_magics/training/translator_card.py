"""The card of a translator that ships: data, recipe, figures beside those of what it replaces."""

from __future__ import annotations

import subprocess
from pathlib import Path

from torch import nn

from llm_magics.training.data.corpus import Corpus
from llm_magics.training.run.events import Finished
from llm_magics.training.runs.runs import Run
from llm_magics.training.translator_scores import Scores

__all__ = ["card"]

_NOT_FOR = """\
Not for: anything that somebody relies on. A good part of what it writes is wrong and reads as
fluently as what is right. Long sentences, names, numbers, idioms, technical, legal or medical texts
come out wrong or invented; for real work give a larger model with --model."""


def card(
    pair: str,
    run: Run,
    corpus: Corpus,
    module: nn.Module,
    before: Scores,
    after: Scores,
    share: float,
) -> str:
    """The card of embedded:PAIR, trained by `run` and blended by `share`."""
    recipe = run.recipe()
    ends = [event for event in run.events() if isinstance(event, Finished)]
    size = sum(parameter.numel() for parameter in module.parameters())
    model = recipe.model
    layers = f"{model.num_encoder_layers} + {model.num_decoder_layers} layers"
    heads = f"{model.nhead} heads, {size:,} parameters, stored as float16"
    rows = f"{len(corpus.train):,} sentence pairs"
    return f"""# embedded:{pair}

{recipe.description}

| | |
|---|---|
| model | Transformer, {layers}, width {model.d_model}, {heads} |
| data | {recipe.data.attribution} |
| licence of the data | {recipe.data.licence}; the weights go under the same terms |
| training rows | {rows}; a row is seen as often as the recipe's weights say |
| left out | {_left_out(corpus)} |
| recipe | {recipe.name}, seed {recipe.seed}, {ends[-1].step if ends else 0:,} steps |
| commit | {_commit()} |
| training time | {ends[-1].seconds if ends else 0:,.0f} s on {_machine(run)} |
| begun with | {_origin(recipe.model.from_run, share)} |

| figure | replaced weights | these |
|---|---|---|
{_figures(before, after)}

Greedy decoding with the weights as stored; seconds of one thread beside whatever else ran.
"first sentences": {after.asked:,} of the list in tests/data/first_sentences, with answers
that a person accepts. Its set phrases were learnt; {_seen(recipe.model.from_run)}

{_NOT_FOR}

Run it again: `python -m llm_magics.training.ship --all --only {pair}`.
"""


def _figures(before: Scores, after: Scores) -> str:
    return "\n".join(
        f"| {name} | {_number(name, before.figures.get(name))} | {_number(name, value)} |"
        for name, value in after.figures.items()
    )


def _number(name: str, value: float | None) -> str:
    if value is None:
        return "–"
    digits = 3 if "seconds" in name else 0 if name in ("loops", "empty", "broken characters") else 1
    return f"{value:.{digits}f}"


def _seen(from_run: str) -> str:
    if not from_run:
        return (
            "none of its sentences occurs in training, in either\n"
            "language, nor does any sentence of three words or more of the other tests."
        )
    return """\
this training held none of its sentences, in
either language, nor any sentence of three words or more of the other tests. The weights that it
began with had read all of Tatoeba's training rows, some sentences of the list among them."""


def _left_out(corpus: Corpus) -> str:
    counts = corpus.report.parts.get("train", {})
    said = [
        f"{number:,} {reason}" for reason, number in counts.items() if reason != "kept" and number
    ]
    return ", ".join(said) or "nothing"


def _origin(from_run: str, share: float) -> str:
    if not from_run:
        return "nothing"
    mixed = "" if share == 1 else f", and blended with them: {share:g} · new + {1 - share:g} · old"
    return f"the weights of {from_run} that shipped before{mixed}"


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
    path = run.folder / "machine.txt"
    return path.read_text(encoding="utf-8").strip() if path.is_file() else "an unknown machine"
