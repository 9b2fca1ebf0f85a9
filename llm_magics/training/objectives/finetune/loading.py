"""A transformers model as a private float32 copy for fine-tuning, with its tokenizer and, where
needed, a new head.

Never the model manager's copy: that one is shared, and must not change under those who use it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from llm_magics.display.progress import counted
from llm_magics.errors import BrokenModel, RecipeError, RunError
from llm_magics.models.families import family_of
from llm_magics.models.folder.inspect import FolderFacts
from llm_magics.models.folder.library_errors import boundary
from llm_magics.models.folder.open import (
    LOAD_LOCK,
    check_no_meta,
    check_outline,
    locate,
    no_progress_bar,
)
from llm_magics.models.reference import Reference, parse_reference
from llm_magics.training.recipe.recipe import Recipe
from llm_magics.training.runs.runs import Run

__all__ = ["Base", "open_base", "quiet", "reading_limit"]

_HEADS = {
    "AutoModelForSeq2SeqLM": "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES",
    "AutoModelForCausalLM": "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES",
    "AutoModelForMaskedLM": "MODEL_FOR_MASKED_LM_MAPPING_NAMES",
    "AutoModelForSequenceClassification": "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES",
    "AutoModelForTokenClassification": "MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES",
    "AutoModelForQuestionAnswering": "MODEL_FOR_QUESTION_ANSWERING_MAPPING_NAMES",
}
"""Auto class → transformers' table of the families that it knows."""
_NEEDS_ITS_HEAD = ("AutoModelForSeq2SeqLM", "AutoModelForCausalLM")
_SAME_FOR_ALL_TASKS = (*_NEEDS_ITS_HEAD, "AutoModelForMaskedLM")
"""Heads over the vocabulary: what the files have of them is right, whatever class wrote them."""
_TASK_OF_HEAD = {
    "ForSequenceClassification": "classify",
    "ForTokenClassification": "label-tokens",
    "ForQuestionAnswering": "answer",
    "ForMaskedLM": "masked-language-model",
    "ForCausalLM": "language-model",
}
"""Ending of an architecture's name → the task it is made for."""
_MOST_NEW = 16
"""Tensors of a head and a pooler; a model that lacks more lacks a layer."""


@dataclass
class Base:
    """What is fine-tuned."""

    reference: Reference
    module: nn.Module
    """float32, on the CPU, no other's."""
    tokenizer: Any
    """Of transformers, no other's: a tokenizer that threads share gives wrong results."""
    new: list[str]
    """Modules whose weights the files lacked, drawn from the recipe's seed: "classifier"."""
    labels: list[str]
    """In the order of the head's outputs."""

    @property
    def name(self) -> str:
        """The reference as others may read it: of a local folder without where it lies on this
        machine."""
        return (
            Path(self.reference.name).resolve().name
            if self.reference.kind == "local"
            else str(self.reference)
        )


def open_base(
    recipe: Recipe, run: Run, auto_name: str, labels: list[str] | None = None, words: bool = False
) -> Base:
    """The model that the recipe refers to, with the head of the Auto class of this name.

    labels: of a classifier; its head stays where it has the same labels already. words: texts come
    as lists of words. The run notes which weights these are, so that a resumed run goes on from the
    same ones. Raises RecipeError where the model cannot do the task, RunError where it has changed
    since the run began, and what `llm_magics.models.folder.open.locate` raises.
    """
    reference = _pinned(_reference(recipe.model.reference), run)
    facts = locate(reference)
    if facts.is_native:
        raise RecipeError(
            f"model.reference = {recipe.model.reference!r} is a model trained from scratch here; "
            "only models of transformers can be fine-tuned. Begin a new training with it by "
            "%train run:NAME --data DATA"
        )
    if facts.folder.parent.name == "snapshots":  # the hub's cache
        reference = replace(reference, revision=facts.folder.name)
    _note_identity(reference, facts, run)
    with LOAD_LOCK, boundary(str(facts.folder)), quiet(), torch.random.fork_rng(devices=[]):
        return _open(recipe, reference, facts, auto_name, labels, words)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """transformers without progress bars and reports: a new head is told about in the notes of the
    run."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with no_progress_bar():
            yield
    finally:
        logging.set_verbosity(before)


def _reference(text: str) -> Reference:
    reference = parse_reference(text)
    if reference.kind not in ("hub", "local", "package", "run"):
        raise RecipeError(
            f"model.reference = {text!r} cannot be fine-tuned; give a model of transformers: "
            "ORGANISATION/NAME, a folder, package:NAME or run:NAME"
        )
    return reference


def _pinned(reference: Reference, run: Run) -> Reference:
    """The revision at which the run began, whatever the hub has by now."""
    commit = _identity(run).get("commit")
    return replace(reference, revision=commit) if reference.kind == "hub" and commit else reference


def _identity(run: Run) -> dict[str, str]:
    note = run.folder / "base.json"
    return json.loads(note.read_text(encoding="utf-8")) if note.is_file() else {}


def _note_identity(reference: Reference, facts: FolderFacts, run: Run) -> None:
    commit = reference.revision if reference.kind == "hub" else None  # says it all
    found = {
        "reference": str(reference),
        **({"commit": commit} if commit else {"sha256": _digest(facts)}),
    }
    before = _identity(run)
    if not before:
        unfinished = run.folder / "base.tmp"
        unfinished.write_text(json.dumps(found, indent=1), encoding="utf-8")
        unfinished.replace(run.folder / "base.json")  # whole, or not there
    elif any(before.get(key) != found.get(key) for key in ("commit", "sha256")):
        raise RunError(
            f"run {run.name} began from {before.get('reference')} as it was then, and its "
            "weights have changed since; put them back, or begin anew with %train --replace "
            f"--name {run.name}"
        )


def _digest(facts: FolderFacts) -> str:
    """One hash of all weight files."""
    total = hashlib.sha256()
    for path in facts.weights:
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()


def _open(
    recipe: Recipe,
    reference: Reference,
    facts: FolderFacts,
    auto_name: str,
    labels: list[str] | None,
    words: bool,
) -> Base:
    import transformers

    options: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}
    config = transformers.AutoConfig.from_pretrained(facts.folder, **options)
    _check_family(config.model_type, auto_name, recipe, reference)
    has_head = str((config.architectures or [""])[0]).endswith(auto_name.removeprefix("AutoModel"))
    order, same_labels = _label(config, auto_name, labels)
    keep_head = auto_name in _SAME_FOR_ALL_TASKS or (has_head and same_labels)
    auto = getattr(transformers, auto_name)
    check_outline(auto, config, facts)
    module, report = auto.from_pretrained(
        facts.folder,
        config=config,
        dtype=torch.float32,
        use_safetensors=True,
        output_loading_info=True,
        ignore_mismatched_sizes=labels is not None,
        **options,
    )
    missing = sorted(report["missing_keys"])
    if missing:
        _check_head(config, auto_name, recipe, reference, missing[0])
    if auto_name in _NEEDS_ITS_HEAD and missing:
        raise BrokenModel(
            f"{facts.folder}: the weight files lack {counted(len(missing), 'tensor')}, "
            f"{missing[0]} among them"
        )
    lacking = {*report["missing_keys"], *(entry[0] for entry in report["mismatched_keys"])}
    new = _new_modules(module, lacking, keep_head, str(facts.folder))
    _draw(module, new, recipe.seed)
    check_no_meta(module, str(reference))
    tokenizer = _tokenizer(transformers.AutoTokenizer, facts, options, words)
    if (
        module.config.pad_token_id is None and labels is not None
    ):  # a classifier finds the end of a text by it
        module.config.pad_token_id = (
            tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
        )
    return Base(reference, module, tokenizer, new, order)


def _check_family(family: str, auto_name: str, recipe: Recipe, reference: Reference) -> None:
    from transformers.models.auto import modeling_auto

    if family not in getattr(modeling_auto, _HEADS[auto_name]):
        able = [name for name, table in _HEADS.items() if family in getattr(modeling_auto, table)]
        kinds = ", ".join(name.removeprefix("AutoModelFor") for name in able) or "no text"
        raise RecipeError(
            f"task = {recipe.task!r} cannot be learnt by {reference}: its family {family} has no "
            f"{auto_name.removeprefix('AutoModelFor')} form in transformers (it has {kinds})"
        )


def _check_head(
    config: Any, auto_name: str, recipe: Recipe, reference: Reference, missing: str
) -> None:
    """RecipeError where the files hold another head than the one over the vocabulary that the task
    needs."""
    from transformers.models.auto import modeling_auto

    holds, able = (
        (config.architectures or [""])[0],
        getattr(modeling_auto, _HEADS[auto_name])[config.model_type],
    )
    able = (able,) if isinstance(able, str) else able
    if auto_name not in _SAME_FOR_ALL_TASKS or not holds or holds in able:
        return
    fits = next((task for ending, task in _TASK_OF_HEAD.items() if holds.endswith(ending)), "")
    other = f"; or train this one on for what it is made for: --task {fits}" if fits else ""
    raise RecipeError(
        f"{reference} holds a {holds}, but task = {recipe.task!r} needs a {able[0]}, whose head "
        f"over the vocabulary is not in the files ({missing}). Give a checkpoint that was saved "
        "as one, such as the model that this one was made from: %train ORGANISATION/NAME --task "
        f"{recipe.task} --data DATA{other}"
    )


def _label(config: Any, auto_name: str, labels: list[str] | None) -> tuple[list[str], bool]:
    """(Labels in the order of the head, whether the head of the files can stay); sets them in the
    configuration."""
    if labels is None:
        if auto_name == "AutoModelForQuestionAnswering":
            config.num_labels = 2  # start and end
        return [], True
    known = {_plain(name): number for number, name in (config.id2label or {}).items()}
    mine = {_plain(label): label for label in labels}
    same = set(known) == set(mine) and len(mine) == len(labels) == len(config.id2label)
    order = [mine[name] for name in sorted(known, key=known.__getitem__)] if same else list(labels)
    config.num_labels = len(order)
    config.id2label = dict(enumerate(order))
    config.label2id = {label: number for number, label in enumerate(order)}
    return order, same


def _plain(label: str) -> str:
    """A label as labels are compared: LABEL_0, as transformers names the first where nobody did, is
    0."""
    return str(label).removeprefix("LABEL_").casefold()


def _new_modules(module: nn.Module, lacking: set[str], keep_head: bool, folder: str) -> list[str]:
    """The modules whose weights are to be drawn; BrokenModel where the files lack more than a head
    or a pooler."""
    head = set(_head(module))
    broken = sorted(name for name in lacking if head and name not in head and "pooler" not in name)
    if broken or len(lacking) > _MOST_NEW:
        first = (broken or sorted(lacking))[0]
        raise BrokenModel(
            f"{folder}: the weight files lack {counted(len(broken or lacking), 'tensor')}, "
            f"{first} among them"
        )
    drawn = lacking if keep_head else lacking | head
    return sorted(
        {name.rpartition(".")[0] for name, _ in module.named_parameters() if name in drawn}
    )


def _head(module: nn.Module) -> list[str]:
    """The parameters outside of the model that all tasks share; none where the family has no such
    model inside."""
    if module.base_model is module:
        return []
    shared = {id(parameter) for parameter in module.base_model.parameters()}
    return [name for name, parameter in module.named_parameters() if id(parameter) not in shared]


def _draw(module: nn.Module, names: list[str], seed: int) -> None:
    """Draw the weights of these modules as their family does, a function of the seed alone."""
    torch.manual_seed(seed)
    for name in names:
        part = module.get_submodule(name)
        for tensor in (part, *part.parameters(recurse=False)):
            tensor._is_hf_initialized = False  # transformers draws nothing twice otherwise
        module._init_weights(part)


def _tokenizer(auto: Any, facts: FolderFacts, options: dict[str, Any], words: bool) -> Any:
    tokenizer = auto.from_pretrained(facts.folder, **options)
    if (
        words and getattr(tokenizer, "add_prefix_space", None) is False
    ):  # GPT-2's kind: a word begins with its space
        tokenizer = auto.from_pretrained(facts.folder, add_prefix_space=True, **options)
    return tokenizer


def reading_limit(module: nn.Module, tokenizer: Any) -> int | None:
    """The most tokens that the model can read at once; None where there is no limit."""
    config = module.config
    limits = [tokenizer.model_max_length] if tokenizer.model_max_length < 1_000_000 else []
    if family_of(config.model_type).relative_positions:
        return None  # a tokenizer's 512 is what they were trained with, not what they can read
    positions = getattr(config, "max_position_embeddings", None) or getattr(
        config, "n_positions", None
    )
    if positions:
        limits.append(int(positions) - _unused_positions(module))
    return min(limits, default=None)


def _unused_positions(module: nn.Module) -> int:
    """RoBERTa's kind counts positions from its padding id on."""
    for name, part in module.named_modules():
        if (
            name.endswith(".position_embeddings")
            and isinstance(part, nn.Embedding)
            and part.padding_idx is not None
        ):
            return part.padding_idx + 1
    return 0
