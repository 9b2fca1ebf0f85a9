"""`%%translate`: text from one language into another."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from llm_magics.magics.core.call import Call
from llm_magics.magics.core.command import MODEL, PRECISION
from llm_magics.magics.core.objects import file_or_variable, text_of
from llm_magics.magics.core.options import Option, whole
from llm_magics.magics.core.python_source import Source
from llm_magics.magics.rows import EACH
from llm_magics.magics.settings import settings_of
from llm_magics.magics.task import ALTERNATIVES, COMPARE, ENGINE, IN, REFERENCE, TaskCommand

__all__ = ["TranslateMagic"]


def _glossary(call: Call, as_source: bool) -> object:
    """--glossary as a mapping: of a variable, or of pairs."""
    given = str(call["glossary"])
    if "=" not in given:
        held = file_or_variable(call, "glossary")
        if isinstance(held, Path):
            return _glossary_file(call, held)
        if not isinstance(held, dict):
            raise call.wrong(
                f"--glossary {given} is of type {type(held).__name__}, expected a dict: source to "
                "target"
            )
        return Source(given) if as_source else held
    pairs = [pair.partition("=") for pair in given.split(",")]
    if not all(source.strip() and target.strip() for source, _, target in pairs):
        raise call.wrong(f"--glossary {given}: expected pairs such as cat=Kater,dog=Rüde")
    return {source.strip(): target.strip() for source, _, target in pairs}


def _glossary_file(call: Call, path: Path) -> dict[str, str]:
    """A .csv or .tsv file of two columns, source and target, without a head."""
    delimiter = {".csv": ",", ".tsv": "\t"}.get(path.suffix.lower())
    if delimiter is None:
        raise call.wrong(f"--glossary {call['glossary']}: expected a .csv or .tsv file of pairs")
    lines = text_of(call, "glossary").splitlines()
    rows = [row for row in csv.reader(lines, delimiter=delimiter) if any(row)]
    for number, row in enumerate(rows, 1):
        if len(row) != 2 or not all(part.strip() for part in row):
            raise call.wrong(f"{path.name}, pair {number}: expected source and target, got {row}")
    return {source.strip(): target.strip() for source, target in rows}


def _back(call: Call, as_source: bool) -> object:
    given = str(call["back-translate"])
    return True if given == "auto" else call.reference(given)


class TranslateMagic(TaskCommand):
    """`%translate [options] TEXT`, or the text below `%%translate`."""

    name = "translate"
    summary = "Translate text and show it beside its source."
    details = (
        "Sentence by sentence; paragraphs, blank lines and list marks stay as they are. "
        "The text is never read as options and never formatted: quotes and braces survive. "
    )
    text = "TEXT"
    cell = "TEXT"
    options = (
        Option(
            "--from",
            "language of the text, code or name; auto finds out",
            "LANGUAGE",
            default="auto",
            completes="source language",
            argument="source",
        ),
        Option(
            "--to",
            "language to translate into, code or name",
            "LANGUAGE",
            completes="language",
            argument="target",
        ),
        MODEL,
        PRECISION,
        ENGINE,
        Option(
            "--beams",
            "beams of the search; 1 is greedy and fastest",
            "N",
            whole(1, 64),
            default=1,
            argument="num_beams",
        ),
        ALTERNATIVES,
        Option(
            "--keep",
            "words that stay as they are, with commas between: Berlin,GNU Emacs",
            "TERMS",
            argument="keep",
        ),
        Option(
            "--glossary",
            "how words are to be translated: cat=Kater,dog=Rüde, a variable that holds a dict, "
            "or a .csv or .tsv file of two columns",
            "PAIRS|VAR|FILE",
            completes="variable",
            argument="glossary",
            resolve=_glossary,
        ),
        Option(
            "--back-translate",
            "model that translates back, to see what was lost; auto takes the reverse pair",
            "REF",
            completes="model",
            argument="back_translate",
            resolve=_back,
        ),
        REFERENCE,
        COMPARE,
        IN,
        EACH,
    )
    examples = (
        "%translate --to de Good morning, my friend.",
        "%%translate --from en --to de --out letter\nDear Ms Smith,\n\nthank you for your letter.",
        '%translate --to de --each df["text"] --out german',
        "%translate --to de --each rows.csv --column en --out-file german.jsonl",
        (
            "%translate --each test.tsv --column en --reference de --compare "
            "embedded:en-de,run:mine --out-file both.jsonl"
        ),
        (
            "%translate --to de --alternatives 3 --keep GitHub --back-translate auto We moved "
            "the code to GitHub."
        ),
    )

    def more_arguments(self, call: Call) -> dict[str, Any]:
        """The language to translate to, which may be set once for all."""
        settings = settings_of(call.shell)
        target = call["to"] or settings.target_language or None
        if not (target or call["model"] or settings.translate_model or call["compare"]):
            # a model of one pair of languages says itself which they are
            raise call.wrong("into which language? write --to, for example --to de")
        return {"target": target}
