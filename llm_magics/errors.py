"""Everything that can go wrong, as one tree, each with one helpful message::

    LLMMagicsError
    ├── InputError               the text or value given cannot be worked on
    │   ├── EmptyInput           nothing but white space
    │   ├── TooLong              more text than the limit
    │   └── UnknownLanguage      no such language, or no model for the pair
    ├── ModelError
    │   ├── ModelNotFound        no such model, folder or run
    │   ├── HubUnreachable       the model hub did not answer in time
    │   ├── EndpointError        a remote model's endpoint refused, broke off or answered nonsense
    │   ├── UnsafeModel          pickle weights, remote code, files outside the folder
    │   ├── BrokenModel          files that cannot be read as the model they claim to be
    │   ├── DoesNotFit           more memory needed than the budget has
    │   ├── WrongTask            the model cannot do what was asked of it
    │   └── ManagerClosed        used after close, or in a forked child
    ├── MissingExtra             a feature whose package is not installed
    ├── AttentionError           attention could not be captured from this model
    └── TrainingError
        ├── RecipeError          a recipe that contradicts itself or names what is not there
        ├── DataError            a row that cannot be read, with file and line
        ├── NonFinite            loss or gradient became NaN or infinite
        ├── CheckpointError      a checkpoint that fails its manifest
        └── RunError             no such run, or it is held by another process

Every message says what was given, what was expected and what to do next, on one line.
"""

from __future__ import annotations

import re

__all__ = [
    "AttentionError",
    "BrokenModel",
    "CheckpointError",
    "DataError",
    "DoesNotFit",
    "EmptyInput",
    "EndpointError",
    "HubUnreachable",
    "InputError",
    "LLMMagicsError",
    "ManagerClosed",
    "MissingExtra",
    "ModelError",
    "ModelNotFound",
    "NonFinite",
    "RecipeError",
    "RunError",
    "TooLong",
    "TrainingError",
    "UnknownLanguage",
    "UnsafeModel",
    "WrongTask",
    "printable",
]

# C0 controls but tab, line feed and carriage return; DEL; C1 controls; lone surrogates.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


def printable(text: object) -> str:
    """`text` as a string that any front end can show: lone surrogates, NUL and control characters
    become U+FFFD.

    One character stays one character, so offsets into the text stay right. A lone surrogate in an
    error message would otherwise make a notebook cell show no error at all.
    """
    return _UNPRINTABLE.sub("\ufffd", str(text))


class LLMMagicsError(Exception):
    """Base of every error this package raises on purpose; shown by IPython as one line."""

    def __init__(self, message: object = "") -> None:
        super().__init__(printable(message))

    def _render_traceback_(self) -> list[str]:
        # IPython calls this in place of its own traceback; the cell still ends with status "error".
        return [f"{type(self).__name__}: {self}"]


class InputError(LLMMagicsError):
    """The text or value given cannot be worked on."""


class EmptyInput(InputError):
    """There was nothing but white space."""


class TooLong(InputError):
    """More text than the limit."""


class UnknownLanguage(InputError):
    """No such language, or no model for this pair of languages."""


class ModelError(LLMMagicsError):
    """Something about a model."""


class ModelNotFound(ModelError):
    """No model, folder or run has this name."""


class HubUnreachable(ModelError):
    """The model hub did not answer in time."""


class EndpointError(ModelError):
    """The endpoint of a remote model could not be reached, refused, broke off or gave no usable
    answer."""


class UnsafeModel(ModelError):
    """Loading would run code or read files outside the model's folder."""


class BrokenModel(ModelError):
    """The files cannot be read as the model they claim to be."""


class DoesNotFit(ModelError):
    """More memory is needed than the budget has left."""


class WrongTask(ModelError):
    """The model cannot do what was asked of it."""


class ManagerClosed(ModelError):
    """The model manager was used after it was closed, or in a forked child."""


class MissingExtra(LLMMagicsError):
    """The package that a feature needs is not installed."""


class AttentionError(LLMMagicsError):
    """Attention could not be captured from this model."""


class TrainingError(LLMMagicsError):
    """Something about a training."""


class RecipeError(TrainingError):
    """A recipe contradicts itself or names something that is not there."""


class DataError(TrainingError):
    """A row of the data cannot be read; the message names file and line."""


class NonFinite(TrainingError):
    """The loss or a gradient became NaN or infinite; the step was not taken."""


class CheckpointError(TrainingError):
    """A checkpoint does not agree with its manifest."""


class RunError(TrainingError):
    """There is no such run, or another process holds it."""
