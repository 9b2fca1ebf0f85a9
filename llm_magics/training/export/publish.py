"""A run for others: a folder that transformers loads, the model as it is, TensorBoard events, or a
model card."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_magics.display.result import Result
from llm_magics.errors import InputError, RunError, WrongTask
from llm_magics.models.families import AUTO_CLASSES
from llm_magics.models.folder.safe_files import read_json
from llm_magics.training.export.card import model_card
from llm_magics.training.runs.runs import Run
from llm_magics.training.runs.summary import folder_bytes

__all__ = ["FORMATS", "Export", "export_plan", "export_run"]

FORMATS = ("safetensors", "copy", "tensorboard", "card")
"""What a run is exported as: a folder that transformers loads; model/ as it is; event files;
README.md."""

_MADE_BY_US = re.compile(r".*\.safetensors(\.index\.json)?|events\.out\.tfevents\..*\.llm-magics")
_SAID_IN_THE_CARD = ("card.md", "README.md")


@dataclass(frozen=True, kw_only=True, repr=False)
class Export(Result):
    """What was written."""

    run: str
    format: str
    folder: Path
    files: tuple[str, ...]
    n_bytes: int
    family: str = ""
    """The model_type of transformers; "" for a format of its own."""
    use: str = ""
    """Python that loads it."""

    @property
    def text(self) -> str:
        """What was written where, and how it is used."""
        what = f" as {self.family}" if self.family else ""
        said = (
            f"run:{self.run}{what} → {self.folder}: {', '.join(self.files)} ({self.n_bytes:,} "
            "bytes)"
        )
        return f"{said}\n{self.use}" if self.use else said

    def __repr__(self) -> str:
        return f"Export({self.text!r})"


def export_run(
    run: Run, folder: Path | str, format: str = "safetensors", *, force: bool = False
) -> Export:
    """Write the run into `folder` as one of `FORMATS`: all of it beside the folder first, then in
    one go.

    force: write into a folder that is not empty; files of the same names, and weights and event
    files of an earlier export, are replaced, all others stay. Raises RunError, InputError,
    WrongTask for a model that no family of transformers computes, BrokenModel.
    """
    folder = _checked(run, folder, format, force)
    folder.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        family, use = _WRITERS[format](run, building)
        files = sorted(
            str(path.relative_to(building)) for path in building.rglob("*") if path.is_file()
        )
        n_bytes = folder_bytes(building)
        building.chmod(0o755)
        _settle(building, folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return Export(
        run=run.name,
        format=format,
        folder=folder,
        files=tuple(files),
        n_bytes=n_bytes,
        family=family,
        use=use.replace("FOLDER", str(folder)),
    )


def export_plan(
    run: Run, folder: Path | str, format: str = "safetensors", *, force: bool = False
) -> str:
    """What `export_run` would write, in one line; raises what it would refuse, and writes
    nothing."""
    folder = _checked(run, folder, format, force)
    what = {"copy": "the model as it is", "card": "a model card", "tensorboard": "event files"}.get(
        format
    )
    if format == "safetensors":
        config = _config(run)
        what = (
            f"a model of transformers, family {config.get('model_type') or _house_family(config)}"
        )
    replaced = ", over what is there" if folder.is_dir() and any(folder.iterdir()) else ""
    return f"run:{run.name} would be written as {what} into {folder}{replaced}"


def _checked(run: Run, folder: Path | str, format: str, force: bool) -> Path:
    folder = Path(folder).expanduser().absolute()
    if format not in FORMATS:
        raise InputError(f"{format!r} is no format of an export; choose {', '.join(FORMATS)}")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; name a folder")
    if folder == run.folder or run.folder in folder.parents:
        raise InputError(f"{folder} lies in the run itself; name another folder")
    if folder.is_dir() and any(folder.iterdir()) and not force:
        raise InputError(
            f"{folder} is not empty; choose another folder, or replace what is there with --force"
        )
    if format in ("safetensors", "copy"):
        _config(run)
    return folder


def _config(run: Run) -> dict[str, Any]:
    """config.json of the exported model."""
    folder = run.model_folder
    if not (folder / "config.json").is_file() and not (folder / "adapter_config.json").is_file():
        raise RunError(
            f"run {run.name} has no model yet; it is written when the training ends or is stopped "
            f"(%train --resume {run.name})"
        )
    file = "config.json" if (folder / "config.json").is_file() else "adapter_config.json"
    return read_json(folder / file)


def _settle(building: Path, folder: Path) -> None:
    """What was built takes the place of `folder`, or goes into it where it is not empty."""
    if not folder.exists():
        building.rename(folder)
        return
    for path in folder.iterdir():
        if (
            path.is_file()
            and _MADE_BY_US.fullmatch(path.name)
            and not (building / path.name).exists()
        ):
            path.unlink()  # weights of an earlier export, which would be read beside the new ones
    for path in sorted(building.rglob("*")):
        place = folder / path.relative_to(building)
        if path.is_dir():
            place.mkdir(exist_ok=True)
        else:
            os.replace(path, place)


# The formats: each writes into a new folder and returns (family, how it is used)


def _write_safetensors(run: Run, folder: Path) -> tuple[str, str]:
    config = _config(run)
    if config.get("format") != "llm_magics":
        return _write_copy(run, folder)
    from transformers.utils import logging

    from llm_magics.models.folder.native import load_native
    from llm_magics.models.folder.open import LOAD_LOCK
    from llm_magics.training.export.hf_export import twin
    from llm_magics.training.export.hf_tokenizer import twin_tokenizer

    _house_family(config)  # before the weights are read
    module, tokenizer, config = load_native(run.model_folder)
    with LOAD_LOCK:
        model = twin(module, tokenizer.special)
    is_translator = model.config.is_encoder_decoder
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        model.save_pretrained(folder)
    finally:
        if shown:
            logging.enable_progress_bar()
    twin_tokenizer(tokenizer, "source", is_translator).save_pretrained(folder)
    if tokenizer.target is not tokenizer.source:
        twin_tokenizer(tokenizer, "target", is_translator).save_pretrained(
            folder / "target_tokenizer"
        )
    use = _loading("AutoModelForSeq2SeqLM" if is_translator else "AutoModelForCausalLM")
    _write_text(
        folder / "README.md",
        model_card(run, library="transformers", use=use.replace("FOLDER", run.name)),
    )
    return model.config.model_type, use


def _house_family(config: dict[str, Any]) -> str:
    """The family of a model of ours, told by its outline; WrongTask where there is none."""
    from llm_magics.nn import ARCHITECTURES
    from llm_magics.nn.outline import outline
    from llm_magics.training.export.hf_export import family_of

    cls = ARCHITECTURES.get(config.get("architecture"))
    if cls is None:
        raise WrongTask(
            f"config.json names the architecture {config.get('architecture')!r}, which this "
            "version does not know"
        )
    return family_of(outline(cls, **config["arguments"]))


def _write_copy(run: Run, folder: Path) -> tuple[str, str]:
    config = _config(run)
    shutil.copytree(
        run.model_folder,
        folder,
        ignore=shutil.ignore_patterns(*_SAID_IN_THE_CARD, ".*"),
        dirs_exist_ok=True,
    )
    is_native = config.get("format") == "llm_magics"
    for name in ("config.json", "adapter_config.json", "tokenizer_config.json"):
        _without_places(folder / name)
    auto = AUTO_CLASSES.get(run.recipe().task, "AutoModel")
    use = "llm_magics: give the folder as a model, --model FOLDER" if is_native else _loading(auto)
    _write_text(
        folder / "README.md",
        model_card(
            run,
            library="llm_magics" if is_native else "transformers",
            use=use.replace("FOLDER", run.name),
        ),
    )
    return str(config.get("model_type", "")), use


def _loading(auto: str) -> str:
    return (
        f"from transformers import AutoTokenizer, {auto}\n"
        f'model, tokenizer = {auto}.from_pretrained("FOLDER"), '
        'AutoTokenizer.from_pretrained("FOLDER")'
    )


def _without_places(file: Path) -> None:
    """Folders of this machine leave a configuration that names them."""
    if not file.is_file():
        return
    config = read_json(file)
    changed = {
        key: Path(value).name
        for key, value in config.items()
        if isinstance(value, str) and key.endswith("name_or_path") and Path(value).is_absolute()
    }
    if changed:
        _write_text(file, json.dumps({**config, **changed}, indent=2, ensure_ascii=False) + "\n")


def _write_tensorboard(run: Run, folder: Path) -> tuple[str, str]:
    from llm_magics.training.export.tensorboard import write_events

    write_events(run, folder)
    return "", "%load_ext tensorboard\n%tensorboard --logdir FOLDER"


def _write_card(run: Run, folder: Path) -> tuple[str, str]:
    _write_text(folder / "README.md", model_card(run))
    return "", ""


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


_WRITERS: dict[str, Callable[[Run, Path], tuple[str, str]]] = {
    "safetensors": _write_safetensors,
    "copy": _write_copy,
    "tensorboard": _write_tensorboard,
    "card": _write_card,
}
