"""A model card of a run, in the form that the model hub reads: README.md with a YAML head.

It tells what the recipe, the report of the data and the record of the run tell. Folders of this
machine stay out: of a path only the file's name is told.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path, PurePath
from typing import Any

from llm_magics.display.progress import counted, duration
from llm_magics.training.data.report import Report
from llm_magics.training.recipe.recipe import GENERATED, Recipe
from llm_magics.training.recipe.settings import differing_settings
from llm_magics.training.runs.runs import Run
from llm_magics.training.runs.summary import RunSummary, summary_of

__all__ = ["model_card", "without_places"]

_HUB_LICENCES = {
    "apache-2.0",
    "mit",
    "cc0-1.0",
    "cc-by-2.0",
    "cc-by-2.5",
    "cc-by-3.0",
    "cc-by-4.0",
    "cc-by-sa-3.0",
    "cc-by-sa-4.0",
    "cc-by-nc-2.0",
    "cc-by-nc-3.0",
    "cc-by-nc-4.0",
    "cc-by-nc-sa-3.0",
    "cc-by-nc-sa-4.0",
    "cc-by-nd-4.0",
    "bsd",
    "gpl-3.0",
    "lgpl-3.0",
    "agpl-3.0",
    "odbl",
    "pddl",
    "unlicense",
}
_PIPELINES = {
    "translate": "translation",
    "summarize": "summarization",
    "language-model": "text-generation",
    "masked-language-model": "fill-mask",
    "classify": "text-classification",
    "label-tokens": "token-classification",
    "answer": "question-answering",
}
_HUB_METRICS = {
    "bleu_tokenized": "bleu",
    "rouge1": "rouge",
    "rouge2": "rouge",
    "rougeL": "rouge",
    "macro_f1": "f1",
    "entity_f1": "f1",
    "answer_f1": "f1",
    "answer_exact_match": "exact_match",
}
_SAID = {
    "bleu": "sacreBLEU, cased, detokenised",
    "bleu_tokenized": "BLEU, lower-cased, Moses tokens",
    "chrf": "chrF2",
    "rouge1": "ROUGE-1",
    "rouge2": "ROUGE-2",
    "rougeL": "ROUGE-L",
    "exact_match": "exact match",
    "macro_f1": "macro F1",
    "entity_f1": "entity F1",
    "answer_f1": "F1 of the answers",
    "answer_exact_match": "exact match of the answers",
}
_PATH = re.compile(r"(?<![\w:/\\.])(?:~|[A-Za-z]:)?[/\\](?:[^\s/\\'\",;()]+[/\\])+[^\s/\\'\",;()]*")


def model_card(run: Run, *, library: str = "llm_magics", use: str = "") -> str:
    """The text of README.md. library: what loads the model; use: Python that does."""
    recipe, told = run.recipe(), summary_of(run)
    part = "test" if recipe.data.test or recipe.data.source in GENERATED else "validation"
    head = _head(run, recipe, told, part, library)
    sections = [
        f"# {run.name}",
        _public(recipe.description),
        _facts(run, recipe, told),
        _results(recipe, told, part),
        _use(run, use),
        _data(run, recipe),
        _settings(recipe),
    ]
    return "\n\n".join([head, *filter(None, sections)]) + "\n"


def without_places(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain values, a path of this machine reduced to the file's name."""
    return _public_values(recipe.to_dict())


def _head(run: Run, recipe: Recipe, told: RunSummary, part: str, library: str) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    pipeline, data = _PIPELINES.get(recipe.task), _dataset(recipe)
    where = {
        "task_type": pipeline or recipe.task,
        "dataset_type": _slug(data),
        "dataset_name": data,
        "dataset_split": part,
    }
    results = [
        EvalResult(
            **where,
            metric_type=_HUB_METRICS.get(name, name),
            metric_name=_SAID.get(name, name),
            metric_value=round(value, 4),
        )
        for name, value in told.metrics.items()
        if told.reason
    ]
    licence = _slug(recipe.data.licence).replace("_", "-")
    known = licence if licence in _HUB_LICENCES else None
    base = (
        recipe.model.reference
        if re.fullmatch(r"[\w.-]+/[\w.-]+(@[\w./-]+)?", recipe.model.reference)
        else None
    )
    card = ModelCardData(
        language=_languages(recipe) or None,
        license=known or ("other" if recipe.data.licence else None),
        license_name=None
        if known or not recipe.data.licence
        else (licence[:60].strip("-") or "unnamed"),
        library_name=library,
        pipeline_tag=pipeline,
        tags=[
            "llm_magics",
            recipe.model.architecture if not recipe.model.reference else "fine-tuned",
        ],
        datasets=_hub_datasets(recipe) or None,
        base_model=base and base.partition("@")[0],
        metrics=sorted({_HUB_METRICS.get(name, name) for name in told.metrics}) or None,
        model_name=run.name if results else None,
        eval_results=results or None,
    )
    return f"---\n{card.to_yaml().strip()}\n---"


def _facts(run: Run, recipe: Recipe, told: RunSummary) -> str:
    model, machine = recipe.model, run.folder / "machine.txt"
    what = _public(model.reference) + ", fine-tuned" if model.reference else model.architecture
    what += f", begun with run:{model.from_run}" if model.from_run else ""
    rows = [
        ("model", f"{what}, {told.parameters:,} parameters" if told.parameters else what),
        ("task", recipe.task),
        ("data", _dataset(recipe)),
        ("licence of the data", recipe.data.licence or "not stated"),
        ("training rows", f"{told.train_rows:,}" if told.train_rows else ""),
        ("recipe", f"{recipe.name}, seed {recipe.seed}"),
        (
            "training",
            f"{counted(told.step, 'step')}, {told.epochs:.3g} epochs, {duration(told.seconds)}",
        ),
        ("ended", told.reason or told.state),
        ("machine", machine.read_text(encoding="utf-8").strip() if machine.is_file() else ""),
    ]
    return "\n".join(
        ["| | |", "|---|---|", *(f"| {name} | {_cell(value)} |" for name, value in rows if value)]
    )


def _results(recipe: Recipe, told: RunSummary, part: str) -> str:
    lines = [f"- {_SAID.get(name, name)}: {value:.2f}" for name, value in told.metrics.items()]
    if told.loss is not None:
        lines.append(f"- lowest validation loss: {told.loss_text}")
    if not lines:
        return ""
    how = f", {recipe.evaluation.beams} beams" if recipe.evaluation.beams > 1 else ""
    of = (
        f"Of the exported model on the {part} rows{how}"
        if told.reason
        else "Of the last evaluation, on validation rows"
    )
    published = ", ".join(f"{_public(value)}" for value in recipe.published.values())
    return "\n".join(
        [
            "## Results",
            "",
            f"{of}; figures are in percent but perplexity and loss.",
            "",
            *lines,
            *(["", f"Published for this recipe: {published}."] if published else []),
        ]
    )


def _use(run: Run, use: str) -> str:
    lines = use or f"%load_ext llm_magics\n# the run's model is run:{run.name} where it was trained"
    return f"## Use\n\n```python\n{lines}\n```"


def _data(run: Run, recipe: Recipe) -> str:
    """What was read and left out, in counts; the report's examples are rows of the data and stay
    out."""
    try:
        report = Report.from_dict(
            json.loads((run.folder / "report.json").read_text(encoding="utf-8"))
        )
        said = report.text
    except (OSError, ValueError, TypeError, AttributeError):
        said = ""
    lines = [_public(recipe.data.attribution), f"Cleaning: {said}." if said else ""]
    return "## Data\n\n" + "\n\n".join(filter(None, lines)) if any(lines) else ""


def _settings(recipe: Recipe) -> str:
    """The settings that are not the defaults."""
    default = Recipe(data=type(recipe.data)(source="notebook")).to_dict()
    rows = differing_settings(
        [{**default, "data": {**default["data"], "source": "files"}}, without_places(recipe)]
    )
    lines = [
        f"{name} = {json.dumps(value, ensure_ascii=False)}"
        for name, (_, value) in rows.items()
        if value is not None
    ]
    return "\n".join(
        [
            "## Settings",
            "",
            "What differs from the defaults of a recipe, as TOML for `%%train`:",
            "",
            "```toml",
            *lines,
            "```",
        ]
    )


def _dataset(recipe: Recipe) -> str:
    """The data as people call them, without the folder they lie in."""
    data = recipe.data
    return _public(data.attribution.split(",")[0] or _name(data.train) or data.source)


def _hub_datasets(recipe: Recipe) -> list[str]:
    parts = (recipe.data.train, recipe.data.validation, recipe.data.test)
    names = (
        part.removeprefix("hub:").partition(":")[0] for part in parts if part.startswith("hub:")
    )
    return list(dict.fromkeys("/".join(name.split("/")[:2]) for name in names))


def _languages(recipe: Recipe) -> list[str]:
    codes = f"{recipe.data.source_language},{recipe.data.target_language}".split(",")
    return list(
        dict.fromkeys(code.strip() for code in codes if re.fullmatch(r"[a-z]{2,3}", code.strip()))
    )


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.") or "unnamed"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _public_values(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _public_values(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_public_values(item) for item in value]
    return _public(_name(value)) if isinstance(value, str) else value


def _name(path: str) -> str:
    """The last part of an absolute path, also of one with spaces; other text as it is."""
    bare = path.partition(":")[2] if path.startswith("disk:") else path
    looks_absolute = bare.startswith(("/", "~", "\\\\", "./", "../")) or re.match(
        r"[A-Za-z]:[/\\]", bare
    )
    return PurePath(bare.replace("\\", "/")).name if looks_absolute and "\n" not in bare else path


def _public(text: str) -> str:
    """`text` with every path in it reduced to its last part."""
    places = {os.getcwd(), str(Path.home()), os.environ.get("LLM_MAGICS_DATA", "")}
    for place in sorted(
        (place for place in places if len(place) > 3), key=len, reverse=True
    ):  # they may hold spaces
        text = text.replace(place + os.sep, "").replace(place, "")
    return _PATH.sub(lambda found: PurePath(found[0].replace("\\", "/")).name, text)
