"""What catalog.toml says of models: which are recommended for a task, and what is known of each.

This module is light: it imports the standard library only, and reads its file when first asked.
"""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CLASSES", "TASKS", "Entry", "catalog", "entries", "hub_names", "pair_entry"]

TASKS = (
    "translate",
    "summarize",
    "ask",
    "predict",
    "generate",
    "sentiment",
    "labels",
    "entities",
    "similarity",
)
"""What models are recommended for; "labels" are those of a zero-shot classifier, "similarity" is
for embeddings."""

CLASSES = {
    "cpu": "without a GPU",
    "small-gpu": "a GPU of at most 8 GB",
    "large-gpu": "a larger GPU",
}
"""For which machines a model is recommended → in words."""


@dataclass(frozen=True)
class Entry:
    """A model that is recommended for a task."""

    repository: str
    """Its reference, as a user types it."""
    classes: tuple[str, ...]
    """Of `CLASSES`: the machines that it is recommended for."""
    parameters: int
    download_bytes: int
    """About how much has to be fetched once."""
    licence: str
    languages: tuple[str, ...]
    """Codes of the languages it reads."""
    paper: str
    code: str
    """Address of the code that it was made with."""
    is_chat: bool = False
    """Whether it does the task on request, in place of having been trained for it."""

    @property
    def is_large(self) -> bool:
        """Whether it is for a large GPU only."""
        return self.classes == ("large-gpu",)


@functools.cache
def catalog() -> dict:
    """catalog.toml as it stands."""
    return tomllib.loads(Path(__file__).with_name("catalog.toml").read_text("utf-8"))


@functools.cache
def entries(task: str) -> tuple[Entry, ...]:
    """The models recommended for a task of `TASKS`, the first choice first; without the models of
    one pair of languages."""
    models = catalog()["models"]
    return tuple(_entry(models[row["repository"]] | row) for row in catalog().get(task, ()))


def pair_entry(source: str, target: str) -> Entry | None:
    """The model that was trained to translate from one language to another, None where there is
    none."""
    opus, pair = catalog()["opus_mt"], f"{source}-{target}"
    is_there = (
        (source == "en" and target in opus["from_english"].split())
        or (target == "en" and source in opus["to_english"].split())
        or pair in opus["other"].split()
    )
    if not is_there:
        return None
    name = opus["renamed"].get(pair) or opus["repository"].format(source=source, target=target)
    return _entry({**opus, "repository": name, "languages": f"{source} {target}"})


def _entry(facts: dict) -> Entry:
    languages = facts["languages"].split()
    if languages == ["nllb"]:
        languages = [code for code, (_, nllb) in catalog()["languages"].items() if nllb]
    return Entry(
        facts["repository"],
        tuple(facts["classes"].split()),
        round(facts["parameters_m"] * 1_000_000),
        facts["megabytes"] * 1_000_000,
        facts["licence"],
        tuple(languages),
        facts["paper"],
        facts["code"],
        facts.get("chat", False),
    )


@functools.cache
def hub_names() -> tuple[str, ...]:
    """The hub ids of every model in the catalogue."""
    opus = catalog()["opus_mt"]
    pairs = [
        ("en", code) for code in opus["from_english"].split() if f"en-{code}" not in opus["renamed"]
    ]
    pairs += [(code, "en") for code in opus["to_english"].split()]
    pairs += [tuple(pair.split("-")) for pair in opus["other"].split()]
    names = [opus["repository"].format(source=source, target=target) for source, target in pairs]
    return (
        *names,
        *opus["renamed"].values(),
        *(name for name in catalog()["models"] if ":" not in name),
    )
