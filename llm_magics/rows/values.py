"""What a value of a training row must be, by its kind; anything else is a `BadRow` that says
why."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["CHECKS", "BadRow", "check_together", "shown"]


class BadRow(Exception):
    """A row cannot be used; the message is the reason, without its place."""


def shown(value: object, most: int = 60) -> str:
    """`value` as Python writes it, cut to `most` characters."""
    text = repr(value)
    return text if len(text) <= most else text[: most - 1] + "…"


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise BadRow(f"expected text, got {_kind_of(value)}")
    if not value.strip():
        raise BadRow("is empty")
    return _encodable(value)


def _label(value: Any) -> str:
    value = _plain(value)
    if (
        isinstance(value, float) and value.is_integer()
    ):  # what a data frame makes of whole numbers with gaps
        value = int(value)
    if not isinstance(value, (str, int)):
        raise BadRow(f"expected a label (text or a whole number), got {_kind_of(value)}")
    label = str(value).strip()
    if not label:
        raise BadRow("is empty")
    return _encodable(label)


def _tokens(value: Any) -> list[str]:
    value = _plain(value)
    if not isinstance(value, (list, tuple)):
        raise BadRow(
            "expected a list of words, got "
            f"{_kind_of(value)}{_ABOUT_LISTS if isinstance(value, str) else ''}"
        )
    if not value:
        raise BadRow("is empty")
    for position, token in enumerate(value):
        if not isinstance(token, str) or not token.strip():
            raise BadRow(f"word {position} is {shown(token)}; expected text")
        _encodable(token)
    return list(value)


def _tags(value: Any) -> list[str]:
    value = _plain(value)
    if not isinstance(value, (list, tuple)):
        raise BadRow(
            "expected a list of tags, got "
            f"{_kind_of(value)}{_ABOUT_LISTS if isinstance(value, str) else ''}"
        )
    tags = []
    for position, tag in enumerate(value):
        try:
            tags.append(_label(tag))
        except BadRow as problem:
            raise BadRow(f"tag {position}: {problem}") from None
    return tags


def _answers(value: Any) -> list[tuple[str, int]]:
    value = _plain(value)
    if isinstance(
        value, Mapping
    ):  # as SQuAD stands in `datasets`: {"text": [...], "answer_start": [...]}
        texts, starts = (
            _plain(value.get("text")),
            _plain(value.get("answer_start", value.get("start"))),
        )
        if (
            not isinstance(texts, (list, tuple))
            or not isinstance(starts, (list, tuple))
            or len(texts) != len(starts)
        ):
            raise BadRow(
                'expected answers as {"text": [...], "answer_start": [...]}, both of one length'
            )
        return [_answer(text, start) for text, start in zip(texts, starts, strict=True)]
    if not isinstance(value, (list, tuple)):
        raise BadRow(f"expected a list of answers, got {_kind_of(value)}")
    answers = []
    for one in value:
        if isinstance(one, Mapping):
            answers.append(_answer(one.get("text"), one.get("answer_start", one.get("start"))))
        elif isinstance(one, (list, tuple)) and len(one) == 2:
            answers.append(_answer(*one))
        else:
            raise BadRow(f'an answer is {shown(one)}; expected {{"text": …, "start": …}}')
    return answers


def _answer(text: Any, start: Any) -> tuple[str, int]:
    start = _plain(start)
    if not isinstance(text, str) or not text.strip():
        raise BadRow(
            f"the text of an answer is {shown(text)}; a question without an answer has an empty "
            "list"
        )
    if start == -1:
        raise BadRow(
            f"answer {shown(text)} starts at -1, so it is not in the context; leave such rows "
            "out by skip_bad_rows"
        )
    if not isinstance(start, int) or isinstance(start, bool) or start < 0:
        raise BadRow(
            f"answer {shown(text)} starts at {shown(start)}; expected the index of a character, "
            "0 or more"
        )
    return _encodable(text), start


CHECKS: dict[str, Callable[[Any], Any]] = {
    "text": _text,
    "label": _label,
    "tokens": _tokens,
    "tags": _tags,
    "answers": _answers,
}
"""Kind → what makes of a value, as a file or a library gives it, the value of a row. Raises
`BadRow`."""


def check_together(row: tuple, roles: Mapping[str, int]) -> None:
    """What the values of one row must have in common; `roles`: role → index. Raises `BadRow`.

    As many tags as tokens; each answer where it is said to be in the context.
    """
    if "tags" in roles and "tokens" in roles:
        tokens, tags = row[roles["tokens"]], row[roles["tags"]]
        if len(tokens) != len(tags):
            raise BadRow(f"{len(tokens)} words but {len(tags)} tags")
    if "answers" in roles and "context" in roles:
        context = row[roles["context"]]
        for text, start in row[roles["answers"]]:
            if not context.startswith(text, start):
                raise BadRow(
                    f"answer {shown(text)} is not at character {start} of the context, "
                    f"where {shown(context[start : start + len(text)])} stands"
                )


_ABOUT_LISTS = "; CSV has no lists: write JSON Lines or parquet"


def _plain(value: Any) -> Any:
    """A numpy array or number as a list or number of Python."""
    return value.tolist() if hasattr(value, "tolist") else value


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadRow(f"holds half a character (a lone surrogate) at index {error.start}") from None
    return text


def _kind_of(value: Any) -> str:
    name = {
        "list": "a list",
        "dict": "an object",
        "int": "a number",
        "float": "a number",
        "str": "text",
        "NoneType": "nothing",
    }.get(type(value).__name__, type(value).__name__)
    try:
        return f"{name}: {json.dumps(value, ensure_ascii=False)[:60]}"
    except (TypeError, ValueError):
        return name
