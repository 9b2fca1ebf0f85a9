"""`%%translate`: text from one language into another."""

from __future__ import annotations

from llm_magics.magics.compared import ALTERNATIVES, COMPARE, REFERENCE, ComparedCommand, checked
from llm_magics.magics.core.command import MODEL, PRECISION, Call
from llm_magics.magics.core.options import Option, whole
from llm_magics.magics.rows import EACH
from llm_magics.magics.settings import settings_of
from llm_magics.magics.task import ENGINE

__all__ = ["TranslateMagic"]


class TranslateMagic(ComparedCommand):
    """`%translate [options] TEXT`, or the text below `%%translate`."""

    name = "translate"
    summary = "Translate text and show it beside its source."
    details = (
        "Sentence by sentence; paragraphs, blank lines and list marks stay as they are. "
        "The text is never read as options and never formatted: quotes and braces survive. "
        "A single line that ends in ? asks IPython for help before any magic sees it: put a "
        "question below "
        "%%translate."
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
        ),
        Option(
            "--to", "language to translate into, code or name", "LANGUAGE", completes="language"
        ),
        MODEL,
        PRECISION,
        ENGINE,
        Option(
            "--beams", "beams of the search; 1 is greedy and fastest", "N", whole(1, 64), default=1
        ),
        ALTERNATIVES,
        Option(
            "--keep", "words that stay as they are, with commas between: Berlin,GNU Emacs", "TERMS"
        ),
        Option(
            "--glossary",
            "how words are to be translated: cat=Kater,dog=Rüde, or a variable that holds a dict",
            "PAIRS|VAR",
            completes="variable",
        ),
        Option(
            "--back-translate",
            "model that translates back, to see what was lost; auto takes the reverse pair",
            "REF",
            completes="model",
        ),
        REFERENCE,
        COMPARE,
        Option("--in", "take the text from this notebook variable", "EXPR", completes="variable"),
        EACH,
    )
    examples = (
        "%translate --to de Good morning, my friend.",
        "%%translate --from en --to de --out letter\nDear Ms Smith,\n\nthank you for your letter.",
        '%translate --to de --each df["text"] --out german',
        "%translate --to de --each rows.csv --column en --out-file german.jsonl",
        (
            "%translate --each test.tsv --column en --reference de --compare "
            "embedded:en-de,run:mine "
            "--out-file both.jsonl"
        ),
        (
            "%translate --to de --alternatives 3 --keep GitHub --back-translate auto We moved "
            "the "
            "code to GitHub."
        ),
    )

    def arguments(self, call: Call) -> dict[str, object]:
        """Arguments of `Session.translate`, those that were not given left out."""
        settings = settings_of(call.shell)
        target, model = call["to"] or settings.target_language, call.model()
        default = None if model else settings.translate_model or None
        if not (
            target or model or default or call["compare"]
        ):  # a model of one pair of languages says itself which they are
            raise call.wrong("into which language? write --to, for example --to de")
        given = {
            "source": call["from"] if call["from"] != "auto" else None,
            "target": target or None,
            "model": model,
            "default": default,
            "load_options": call.load_options(),
            "num_beams": call["beams"] if call["beams"] != 1 else None,
            "keep": call["keep"],
            "glossary": _glossary(call),
            "back_translate": _back(call),
            **checked(call),
        }
        return {name: value for name, value in given.items() if value is not None}


def _glossary(call: Call) -> dict[str, str] | None:
    """--glossary as a mapping: of a variable, or of pairs."""
    given = call["glossary"]
    if not given:
        return None
    if "=" not in str(given):
        held = call.look_up(str(given))
        if not isinstance(held, dict):
            raise call.wrong(
                f"--glossary {given} is of type {type(held).__name__}, expected a dict: "
                "source "
                "to target"
            )
        return held
    pairs = [pair.partition("=") for pair in str(given).split(",")]
    if not all(source.strip() and target.strip() for source, _, target in pairs):
        raise call.wrong(f"--glossary {given}: expected pairs such as cat=Kater,dog=Rüde")
    return {source.strip(): target.strip() for source, _, target in pairs}


def _back(call: Call) -> object:
    given = call["back-translate"]
    return True if given == "auto" else call.reference(str(given)) if given else None
