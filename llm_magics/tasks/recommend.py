"""Which models the catalogue recommends for a task, whether they fit this machine, and which would
be taken now."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llm_magics.display import theme
from llm_magics.display.html import Node, el, user_text
from llm_magics.display.result import Result
from llm_magics.display.table import Table, table
from llm_magics.errors import InputError, LLMMagicsError
from llm_magics.models.catalog import Choice, language_name, recommend
from llm_magics.models.catalog_entries import TASKS
from llm_magics.models.folder.hub_cache import cached_folder, endpoint
from llm_magics.models.manager.device import default_dtype, describe_bytes
from llm_magics.models.reference import EXTRACTIVE, Reference
from llm_magics.tasks.choose import candidates, require_manager
from llm_magics.tasks.understand.sources import MODELLED, sources, weightless_provenance
from llm_magics.text.language import check_language

if TYPE_CHECKING:
    from llm_magics.models.manager.manager import ModelManager

__all__ = ["Recommendation", "Recommendations", "recommendations"]

_ORIGINS = {
    "embedded": "ships with llm_magics",
    "package": "installed",
    "run": "trained here",
    "local": "a folder here",
}


@dataclass(frozen=True)
class Recommendation:
    """One model that could do the task."""

    model: str
    """Its reference, as --model takes it."""
    why: str
    machines: tuple[str, ...]
    """What it is recommended for: "cpu", "small-gpu", "large-gpu"."""
    parameters: int | None
    download_bytes: int
    """0 for what is on this machine."""
    licence: str
    at_hand: str
    """ "loaded", "in the cache", "ships with llm_magics", "installed", or "to be fetched"."""
    needed_bytes: dict[str, int | None]
    """Device → bytes of the weights in its usual format; None where nothing says how many."""
    fits: dict[str, bool]
    """Device → whether it has so much left for models."""
    paper: str = ""
    code: str = ""
    page: str = ""
    """Address of its page on the hub."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Recommendations(Result):
    """The models for a task, best first."""

    task: str
    source: str | None
    """Code of the language of the text, None where it does not matter."""
    target: str | None
    models: tuple[Recommendation, ...]
    free_bytes: dict[str, int]
    """Device → bytes that it has left for models."""
    taken: str | None
    """The model that the task would take now; None where it would be refused."""
    why: str
    """Why that one, or why none."""

    @property
    def text(self) -> str:  # type: ignore[override]  # made from the fields, never given
        """The names, one a line, best first."""
        return "\n".join(row.model for row in self.models)

    def __repr__(self) -> str:
        return f"Recommendations({self.task}, {len(self.models)} models, taken now: {self.taken})"

    def plain(self) -> str:
        """A table, and below it what would be taken now."""
        return self._table().text()

    def node(self) -> Node:
        """The table, and the papers and code behind the models."""
        links = [
            el("li", {}, user_text(row.model), *self._links(row))
            for row in self.models
            if row.paper
        ]
        sources = (
            el(
                "details",
                {"style": {**theme.BOX, "font-size": "12px"}},
                el("summary", {}, "Papers, code and model pages"),
                el("ul", {}, *links),
            )
            if links
            else None
        )
        return el("div", {}, self._table().node(), sources)

    @staticmethod
    def _links(row: Recommendation) -> list[Node | str]:
        found: list[Node | str] = []
        for name in ("paper", "code", "page"):
            if getattr(row, name).startswith("https://"):
                found += [" · ", el("a", {"href": getattr(row, name)}, name)]
        return found

    def _table(self) -> Table:
        devices = list(self.free_bytes)
        rows = [
            [
                "→" if row.model == self.taken else "",
                row.model,
                ", ".join(row.machines),
                "" if row.parameters is None else f"{row.parameters / 1e6:,.0f} M",
                *(_fit(row, device) for device in devices),
                f"{row.at_hand}, {describe_bytes(row.download_bytes)}"
                if row.download_bytes
                else row.at_hand,
                row.licence,
            ]
            for row in self.models
        ]
        heads = [f"{device} ({describe_bytes(self.free_bytes[device])} free)" for device in devices]
        said = f"→ taken now: {self.why}" if self.taken else f"none would be taken now: {self.why}"
        if self.taken and all(row.model != self.taken for row in self.models):
            said = f"taken now: {self.taken}, {self.why}"
        return table(
            ["", "model", "made for", "parameters", *heads, "where", "licence"], rows, caption=said
        )


def recommendations(
    task: str,
    *,
    manager: ModelManager | None = None,
    source: str | None = None,
    target: str | None = None,
    default: object = None,
) -> Recommendations:
    """What the catalogue recommends for `task` (one of `catalog_entries.TASKS`), best first.

    source, target: languages by code or name; a translation needs the target, and is from English
    unless said otherwise. default: the user's default model, which would be taken before all of
    them. Nothing is loaded or fetched; the hub is asked whether it answers, as the task itself
    would. Raises InputError for a task or language that is not known.
    """
    source, target = _languages(task, source, target)
    manager = require_manager(manager, "a recommendation")
    room = manager.room()
    rows = tuple(_row(choice, manager, room) for choice in recommend(task, source, target))
    taken, why = _taken_now(task, source, target, default)
    return Recommendations(
        task=task, source=source, target=target, models=rows, free_bytes=room, taken=taken, why=why
    )


def _languages(task: str, source: str | None, target: str | None) -> tuple[str | None, str | None]:
    if task not in TASKS:
        near = difflib.get_close_matches(task, TASKS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"the tasks are {', '.join(TASKS)}"
        raise InputError(f"the catalogue has no task {task[:40]!r}; {hint}")
    source = check_language(source) if source else None
    target = check_language(target) if target else None
    if task != "translate":
        if target:
            raise InputError(
                f"only a translation has a target language; for {task} give the language of the "
                "text (--from)"
            )
        return source, None
    if target is None:
        raise InputError("no target language was given; say which, for example --to de")
    source = source or "en"
    if source == target:
        raise InputError(f"both languages are {language_name(source)}; give another --from or --to")
    return source, target


def _taken_now(
    task: str, source: str | None, target: str | None, default: object
) -> tuple[str | None, str]:
    """(Model that the task would take, why); (None, why there is none)."""
    language = source or ("en" if task in ("summarize", "ask", *MODELLED) else None)
    try:
        if task in MODELLED:
            found = sources(task, language, default=default)
            choices = found.models
            if not choices:
                return (
                    None,
                    (
                        f"{weightless_provenance(task).model} does it, "
                        f"{weightless_provenance(task).why}"
                    )
                    if (found.weightless)
                    else found.lacking,
                )
        else:
            choices = candidates(task, default=default, source=language, target=target)
    except LLMMagicsError as error:
        return None, str(error)
    first = choices[0]
    return str(first.reference), "; ".join(part for part in (first.why, first.notice) if part)


def _row(choice: Choice, manager: ModelManager, room: dict[str, int]) -> Recommendation:
    reference, entry = choice.reference, choice.entry
    is_cached = reference.kind != "hub" or cached_folder(reference) is not None
    needed = {device: _needed(choice, manager, device, is_cached) for device in room}
    loaded = any(row.name == str(reference) for row in manager.rows())
    at_hand = (
        "loaded"
        if loaded
        else _ORIGINS.get(reference.kind) or ("in the cache" if is_cached else "to be fetched")
    )
    return Recommendation(
        model=str(reference),
        why=choice.why,
        machines=entry.classes if entry else ("cpu",),
        parameters=entry.parameters if entry else None,
        download_bytes=0 if is_cached else choice.download_bytes or 0,
        licence=choice.licence,
        at_hand=at_hand,
        needed_bytes=needed,
        fits={
            device: wanted is not None and wanted <= room[device]
            for device, wanted in needed.items()
        },
        paper=entry.paper if entry else "",
        code=entry.code if entry else "",
        page=f"{endpoint()}/{reference.name}" if reference.kind == "hub" else "",
    )


def _needed(choice: Choice, manager: ModelManager, device: str, is_cached: bool) -> int | None:
    """Bytes in memory: read from the files where they are here, else from the number of
    parameters."""
    if choice.reference == Reference("embedded", EXTRACTIVE):
        return 0
    if is_cached:
        plan = manager.plan(choice.reference, device=device)
        return 0 if plan.resident else plan.needed_bytes
    return choice.entry.parameters * default_dtype(device).itemsize if choice.entry else None


def _fit(row: Recommendation, device: str) -> str:
    needed = row.needed_bytes[device]
    if needed is None:
        return "unknown"
    return f"{'fits' if row.fits[device] else 'too large'}{f', {describe_bytes(needed)}' if needed else ''}"  # noqa: E501  a table or a pattern
