"""One text through several models: their results side by side, and how far they agree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from llm_magics.display import theme
from llm_magics.display.html import Node, el, user_text
from llm_magics.display.result import Provenance, Result, provenance_note
from llm_magics.display.table import table
from llm_magics.errors import InputError, LLMMagicsError
from llm_magics.metrics import score_line
from llm_magics.tasks.references import agreement
from llm_magics.tasks.results import Summary, Translation, remarks
from llm_magics.tasks.summarize.task import summarize
from llm_magics.tasks.translate.task import translate

if TYPE_CHECKING:
    from llm_magics.models.manager.manager import ModelManager

__all__ = ["COMPARED", "Comparison", "compare_models", "compared_names", "comparison"]

COMPARED: dict[str, Callable[..., Translation | Summary]] = {
    "translate": translate,
    "summarize": summarize,
}
"""The tasks whose results can be compared."""
MAX_MODELS = 8
_SHOWN_SENTENCES = 200


@dataclass(frozen=True, kw_only=True, repr=False)
class Comparison(Result):
    """The results of several models for one text."""

    task: str
    source_text: str
    results: tuple[Translation, ...] | tuple[Summary, ...]
    """In the order of the models; those that failed are in `failures`."""
    agreement: tuple[tuple[float, ...], ...]
    """How alike results i and j are: the mean of chrF in both directions, 0 to 100."""
    failures: dict[str, str]
    """Models that could not do it, and why."""
    provenance: Provenance
    """That of the first result; each result has its own."""
    interrupted: bool = False

    @property
    def text(self) -> str:
        """Every result below the name of its model."""
        return "\n\n".join(f"{result.provenance.model}:\n{result.text}" for result in self.results)

    def record(self) -> dict[str, object]:
        """The results by model, side by side; `agreement` is the mean of all pairs, None where
        there is one result only."""
        pairs = [value for i, row in enumerate(self.agreement) for value in row[:i]]
        return {
            "results": {result.provenance.model: result.record() for result in self.results},
            **({"failures": self.failures} if self.failures else {}),
            "agreement": sum(pairs) / len(pairs) if pairs else None,
        }

    @property
    def models(self) -> tuple[str, ...]:
        """The models whose results there are."""
        return tuple(result.provenance.model for result in self.results)

    def __repr__(self) -> str:
        return f"Comparison({self.task}, {', '.join(self.models)})"

    def plain(self) -> str:
        """Every result, then the table of models, then why others could not do it."""
        return "\n".join([self.text, "", self._table().text(), *self._failed()])

    def node(self) -> Node:
        """The results side by side, sentence by sentence where they have the same ones, then the
        table of models."""
        return el(
            "div",
            {"style": theme.BOX},
            self._side_by_side(),
            self._table().node(),
            remarks(self._failed()),
            provenance_note(self.provenance),
        )

    def _failed(self) -> list[str]:
        return [f"{model}: {reason}" for model, reason in self.failures.items()]

    def _side_by_side(self) -> Node:
        columns = [
            [(pair.source, pair.target) for pair in result.sentences]
            if isinstance(result, Translation)
            else [(sentence, sentence) for sentence in result.sentences]
            for result in self.results
        ]
        sources = [source for source, _ in columns[0]] if self.task == "translate" else []
        aligned = sources and all([source for source, _ in column] == sources for column in columns)
        heads = [*(["source"] if self.task == "translate" else []), *self.models]
        if aligned:
            rows = [
                [source, *(column[i][1] for column in columns)] for i, source in enumerate(sources)
            ]
        else:  # one model cut a sentence that the other could read: whole texts
            rows = [
                [
                    *([self.source_text] if self.task == "translate" else []),
                    *(result.text for result in self.results),
                ]
            ]
        cell = {
            **theme.CELL,
            "text-align": "left",
            "white-space": "pre-wrap",
            "overflow-wrap": "anywhere",
        }
        head = {**theme.HEAD, "text-align": "left"}
        layout = {
            "border-collapse": "collapse",
            "width": "100%",
            "table-layout": "fixed",
            "font-size": "13px",
        }
        body = (
            el("tr", {}, *(el("td", {"style": cell}, user_text(text)) for text in row))
            for row in rows[:_SHOWN_SENTENCES]
        )
        names = (el("th", {"scope": "col", "style": head}, user_text(name)) for name in heads)
        return el(
            "table",
            {"style": layout},
            el("thead", {}, el("tr", {}, *names)),
            el("tbody", {}, *body),
        )

    def _table(self) -> object:
        rows = [
            [
                result.provenance.model,
                f"{result.provenance.seconds:.2f} s",
                score_line(result.scores),
                *(f"{value:.1f}" if i != j else "" for j, value in enumerate(row)),
            ]
            for i, (result, row) in enumerate(zip(self.results, self.agreement, strict=True))
        ]
        return table(
            ["model", "time", "by the reference", *self.models],
            rows,
            align="lrl" + "r" * len(self.models),
            caption="the columns on the right say how far two results agree (chrF)",
        )


def compare_models(
    task: str,
    text: str,
    models: Sequence[str],
    *,
    manager: ModelManager,
    stop: Callable[[], bool] | None = None,
    **options: object,
) -> Comparison:
    """`task` ("translate" or "summarize") on `text` by each of `models`; `options` as for the task
    itself.

    A model that fails leaves the others their results. Raises InputError for fewer than two models,
    and what the last model raised where all of them fail.
    """
    names = compared_names(task, models)
    options = {name: value for name, value in options.items() if name not in ("model", "default")}
    results, failures, error = [], {}, None
    for name in names:
        if stop is not None and stop():
            break
        try:
            results.append(COMPARED[task](text, model=name, manager=manager, stop=stop, **options))
        except LLMMagicsError as failure:
            failures[str(name)], error = str(failure), failure
    if not results:
        raise (
            error
            if error is not None
            else InputError("it was stopped before the first model had begun")
        )
    found = comparison(task, text, results, failures)
    return replace(
        found, interrupted=found.interrupted or len(results) + len(failures) < len(names)
    )


def compared_names(task: str, models: Sequence[str]) -> list[str]:
    """The models to compare, each once. Raises InputError for a task that is not compared, or too
    few or many of them."""
    if task not in COMPARED:
        raise InputError(f"{task!r} cannot be compared; expected {' or '.join(COMPARED)}")
    names = list(dict.fromkeys(models)) if not isinstance(models, str) else [models]
    if not 2 <= len(names) <= MAX_MODELS:
        raise InputError(f"2 to {MAX_MODELS} different models are compared, {len(names)} given")
    return names


def comparison(
    task: str, text: str, results: Sequence[Translation | Summary], failures: dict[str, str]
) -> Comparison:
    """Results of one text, one or more, side by side."""
    return Comparison(
        task=task,
        source_text=text,
        results=tuple(results),
        failures=failures,
        agreement=tuple(tuple(_alike(one, other) for other in results) for one in results),
        provenance=results[0].provenance,
        interrupted=any(one.interrupted for one in results),
    )


def _alike(one: Translation | Summary, other: Translation | Summary) -> float:
    if (
        isinstance(one, Translation)
        and isinstance(other, Translation)
        and len(one.sentences) == len(other.sentences)
    ):
        return agreement(
            [pair.target for pair in one.sentences], [pair.target for pair in other.sentences]
        )
    return agreement([one.text], [other.text])
