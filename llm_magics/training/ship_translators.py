"""All translators that ship: trained, measured, and put in place where nothing is worse.

    python -m llm_magics.training.ship --all [--only en-de ...] [--steps N] [--root FOLDER]

On a GPU a larger model is trained from nothing, all pairs beside each other, in bfloat16 and for as
long as `--minutes` says; elsewhere the recipe mix-XX-YY goes on from the weights that ship. A model
of the same sizes is blended with those: w = share · new + (1 - share) · old, with the largest share
that does not lower BLEU on the validation rows (Wortsman et al. 2022, WiSE-FT). A translator that
is worse on any figure than the one it would replace stays in its run.
"""

from __future__ import annotations

import argparse
import copy
import gzip
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from llm_magics.errors import DataError, TrainingError
from llm_magics.metrics import score
from llm_magics.models.folder.native import load_native, save_native
from llm_magics.models.folder.native_tokenizer import NativeTokenizer
from llm_magics.models.reference import embedded_root
from llm_magics.training.data.corpus import Corpus, find_file
from llm_magics.training.recipe.recipe import Recipe, load_recipe
from llm_magics.training.run.events import Evaluated, Finished
from llm_magics.training.run.loop import train
from llm_magics.training.run.setup import prepare
from llm_magics.training.runs.runs import Run, create_run, find_run
from llm_magics.training.translator_card import card
from llm_magics.training.translator_scores import Scores, read_tasks, scores_of, translated

__all__ = [
    "PAIRS",
    "add_arguments",
    "blended",
    "pack",
    "ship_all",
    "ship_pair",
    "ship_translators",
    "worse_figures",
]

PAIRS = ("en-de", "de-en", "en-fr", "fr-en", "en-zh", "zh-en")
_SHARES = (1.0, 0.75, 0.6, 0.5, 0.35)
_LIST, _FLORES = "sentences.jsonl", "flores"
_FAULTS = ("loops", "broken characters", "empty")
_MOST_SECONDS = 0.08
_VALIDATION_ROWS = 1_000
_PROBE_STEPS = 40
_ON_A_GPU: dict[str, Any] = {
    "model.from_run": "",
    "model.d_model": 256,
    "model.num_encoder_layers": 6,
    "model.dim_feedforward": 1024,
    "tokenizer.vocab_size": 8000,
    "batch.tokens": 12_000,
    "optimizer.lr": 1.5e-3,
    "schedule.warmup_steps": 400,
    "schedule.epochs": 100.0,
    "evaluation.every_steps": 500,
    "evaluation.average_last": 3,
    "compute.precision": "bfloat16",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `--all`."""
    parser.add_argument("--all", action="store_true", help="train and ship every translator")
    parser.add_argument("--only", nargs="+", choices=PAIRS, default=PAIRS, help="of --all: pairs")
    parser.add_argument("--steps", type=int, default=0, help="of --all: end after so many")
    parser.add_argument("--minutes", type=float, default=6.0, help="of --all, on a GPU: to train")
    parser.add_argument("--device", default="", help="of --all: cpu or cuda")
    parser.add_argument("--pack", type=Path, help="of --all: only write the data, cut, to a folder")


def ship_all(arguments: argparse.Namespace) -> list[str]:
    """What `--all` asks for: a line for each pair."""
    if arguments.pack:
        return [pack(arguments.pack, arguments.only)]
    device = arguments.device or ("cuda" if torch.cuda.is_available() else "cpu")
    how = {"steps": arguments.steps, "minutes": arguments.minutes, "device": device}
    return ship_translators(arguments.root, arguments.only, **how)


def pack(folder: Path, pairs: Sequence[str]) -> str:
    """Copy the data of the recipes to `folder`, rows that cleaning leaves out left out; its size.

    The copy stands for $LLM_MAGICS_DATA on a machine that the data are carried to.
    """
    size, done = 0, set()
    for data, most in ((load_recipe(f"mix-{pair}").data, _most_characters(pair)) for pair in pairs):
        for name in (data.train, *data.also, data.validation, data.test, *data.held_out):
            if name in done:
                continue
            done.add(name)
            languages = ("kind", "en", "de", "fr", "zh")
            size += _copied(find_file(name), folder / name, languages, most)
    return f"{len(done)} files, {size / 2**20:,.1f} MiB, in {folder}"


def _most_characters(pair: str) -> int:
    return load_recipe(f"mix-{pair}").cleaning.max_characters


def _copied(source: Path, place: Path, columns: Sequence[str], most: int) -> int:
    """Bytes of the copy: these columns of the rows of at most `most` characters (tests: of all)."""
    place.parent.mkdir(parents=True, exist_ok=True)
    reads, writes = (gzip.open, gzip.open) if source.suffix == ".gz" else (open, open)
    is_training = source.name.startswith("train")
    with (
        reads(source, "rt", encoding="utf-8") as file,
        writes(place, "wt", encoding="utf-8") as out,
    ):
        for row in map(json.loads, file):
            kept = {column: row[column] for column in columns if column in row}
            if not is_training or all(len(text) <= most for text in kept.values()):
                out.write(json.dumps(kept, ensure_ascii=False) + "\n")
    return place.stat().st_size


def ship_translators(
    root: Path, pairs: Sequence[str], *, steps: int, minutes: float, device: str
) -> list[str]:
    """Train and judge each pair; what became of it, a line each."""
    if device == "cuda" and len(pairs) > 1:
        return _side_by_side(root, pairs, steps, minutes)
    return [ship_pair(root, pair, steps=steps, minutes=minutes, device=device) for pair in pairs]


def ship_pair(root: Path, pair: str, *, steps: int, minutes: float, device: str) -> str:
    """Train one pair, or go on with it, and put it in place where it is better; one line."""
    run = _trained(root, pair, steps, minutes, device)
    module, tokenizer, config = load_native(run.model_folder)
    old, old_tokenizer, _ = load_native(embedded_root() / pair)
    objective = prepare(run, "cpu").objective
    share, module = _best_blend(
        module, old, tokenizer, objective.corpus, run.recipe().data.target_language
    )
    tests = _tests(run.recipe(), objective.corpus)
    before, after = (
        _scores(some, words, run.recipe(), tests)
        for some, words in ((old, old_tokenizer), (module.half().float(), tokenizer))
    )
    worse = worse_figures(before.figures, after.figures)
    text = card(pair, run, objective.corpus, module, before, after, share)
    (run.folder / "card.md").write_text(text, encoding="utf-8")
    if worse:
        return f"{pair}: stays in {run.folder.name}, worse than what ships in {', '.join(worse)}"
    _put(pair, module, tokenizer, config, text)
    return f"{pair}: shipped"


def worse_figures(before: dict[str, float], after: dict[str, float]) -> list[str]:
    """The figures in which a translator is worse than the one it would replace."""
    worse = []
    for name, old in before.items():
        new = after[name]
        if name == "seconds a sentence":
            is_worse = new > max(old * 1.5, _MOST_SECONDS)  # a clock is no exact judge
        elif name in _FAULTS:
            is_worse = new > old
        else:
            is_worse = round(new, 1) < round(old, 1)
        if is_worse:
            worse.append(f"{name} ({new:.3g} after {old:.3g})")
    return worse


def blended(new: nn.Module, old: nn.Module, share: float) -> nn.Module:
    """`new` with the weights share · new + (1 - share) · old.

    Raises TrainingError where the two are not of one size.
    """
    theirs, mixed = old.state_dict(), {}
    for name, ours in new.state_dict().items():
        if name not in theirs or theirs[name].shape != ours.shape:
            raise TrainingError(f"{name} is not of one size in both models; they cannot be blended")
        mixed[name] = torch.lerp(theirs[name], ours, share) if ours.is_floating_point() else ours
    blend = copy.deepcopy(new)
    blend.load_state_dict(mixed)
    return blend


def _trained(root: Path, pair: str, steps: int, minutes: float, device: str) -> Run:
    name = f"mix-{pair}"
    if (root / name / "recipe.json").is_file():
        run = find_run(root, name)
        if run.model_folder.is_dir():
            return run
    else:
        run = create_run(root, _recipe(root, name, steps, minutes, device), name)
    for event in train(run, device=device):
        if isinstance(event, (Evaluated, Finished)):
            run.append(event)
            print(f"{pair}: {event}"[:200], flush=True)  # noqa: T201 - a command's own output
    return run


def _recipe(root: Path, name: str, steps: int, minutes: float, device: str) -> Recipe:
    recipe = load_recipe(name)
    if device == "cuda":
        recipe = recipe.with_settings(_ON_A_GPU)
        steps = steps or _steps_in(root, recipe, 60 * minutes)
    return recipe.with_settings({"schedule.max_steps": steps}) if steps else recipe


def _steps_in(root: Path, recipe: Recipe, seconds: float) -> int:
    """Steps that fit into so many seconds, by the time that a few of them take."""
    probe = create_run(
        root,
        recipe.with_settings({"schedule.max_steps": 2 * _PROBE_STEPS, "evaluation.rows": 1}),
        f"{recipe.name}-probe",
    )
    times = []
    for event in train(probe, device="cuda", exports=False):
        if type(event).__name__ == "StepDone":
            times.append(event.seconds)
            if len(times) == 2 * _PROBE_STEPS:
                break
    shutil.rmtree(probe.folder, ignore_errors=True)
    return max(100, int(seconds * _PROBE_STEPS / (times[-1] - times[_PROBE_STEPS - 1])))


def _side_by_side(root: Path, pairs: Sequence[str], steps: int, minutes: float) -> list[str]:
    """One process a pair: a model so small does not fill a GPU."""
    command = [sys.executable, "-m", "llm_magics.training.ship", "--all", "--root", str(root)]
    command += ["--steps", str(steps), "--minutes", str(minutes), "--device", "cuda"]
    began = time.monotonic()
    running = {
        pair: subprocess.Popen([*command, "--only", pair], stdout=subprocess.PIPE, text=True)
        for pair in pairs
    }
    lines = []
    for pair, process in running.items():
        said = process.communicate()[0].strip().splitlines()
        lines.append(said[-1] if said else f"{pair}: ended with status {process.returncode}")
    return [*lines, f"{time.monotonic() - began:,.0f} s in all"]


def _best_blend(
    new: nn.Module, old: nn.Module, tokenizer: NativeTokenizer, corpus: Corpus, target: str
) -> tuple[float, nn.Module]:
    """(Share, model) of the blend with most of the new that does not lower validation BLEU."""
    rows = corpus.validation[:_VALIDATION_ROWS]
    sources, references = [row[0] for row in rows], [row[1] for row in rows]

    def bleu(module: nn.Module) -> float:
        return score("bleu", translated(module, tokenizer, sources), references, target)

    try:
        blends = [(share, blended(new, old, share)) for share in _SHARES]
    except TrainingError:  # another model altogether
        return 1.0, new
    least = bleu(old)
    for share, module in blends:
        if bleu(module) >= least:
            return share, module
    return blends[-1]


Tests = tuple[list, dict[str, tuple[str, list[tuple[str, str]]]]]


def _tests(recipe: Recipe, corpus: Corpus) -> Tests:
    """(First sentences, corpora) that the recipe holds out."""
    data = recipe.data
    paths = {path.name: path for path in map(find_file, data.held_out)}
    if _LIST not in paths:
        raise DataError(f"data.held_out of {recipe.name} names no {_LIST}, the first sentences")
    tasks = read_tasks(paths[_LIST], data.source_language, data.target_language)
    corpora = {"Tatoeba test, sacreBLEU": ("bleu", list(corpus.test))}
    flores = [path for path in paths.values() if path.parent.name == _FLORES]
    for path in flores:
        corpora["FLORES dev, chrF2"] = ("chrf", _rows_of(path, recipe))
    return tasks, corpora


def _rows_of(path: Path, recipe: Recipe) -> list[tuple[str, str]]:
    from llm_magics.training.data.rows import read_rows

    columns = {"source": recipe.data.source_language, "target": recipe.data.target_language}
    return [
        (row[0], row[1])
        for row in read_rows(path, columns, kinds={"source": "text", "target": "text"}).values
    ]


def _scores(module: nn.Module, tokenizer: NativeTokenizer, recipe: Recipe, tests: Tests) -> Scores:
    tasks, corpora = tests
    return scores_of(module.eval(), tokenizer, recipe.data.target_language, tasks, corpora)


def _put(
    pair: str, module: nn.Module, tokenizer: NativeTokenizer, config: dict[str, Any], text: str
) -> None:
    save_native(
        embedded_root() / pair,
        module,
        arguments=config["arguments"],
        task=config["task"],
        special=config["special"],
        source_language=config["source_language"],
        target_language=config["target_language"],
        source_tokenizer=tokenizer.source,
        target_tokenizer=tokenizer.target,
        dtype="float16",
        card=text,
    )
