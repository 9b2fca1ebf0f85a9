"""Where other people's libraries meet other people's files: their errors become ours here."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from llm_magics.errors import BrokenModel, LLMMagicsError

__all__ = ["boundary", "is_out_of_memory"]


@contextlib.contextmanager
def boundary(what: str, doing: str = "opened") -> Iterator[None]:
    """Whatever a library raises over `what`, as BrokenModel; ours and out-of-memory errors pass as
    they are.

    The tokenizers library panics over some regular expressions: pyo3's PanicException is no
    Exception.
    """
    try:
        yield
    except (LLMMagicsError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        if is_out_of_memory(error):
            raise
        first = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
        raise BrokenModel(f"{what} cannot be {doing}: {first[:200]}") from None


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether an error, or one that caused it, is a device or the machine running out of memory."""
    import torch

    seen = 0
    while error is not None and seen < 10:
        if isinstance(error, torch.OutOfMemoryError | MemoryError):
            return True
        text = str(error).lower()
        if isinstance(error, RuntimeError) and (
            "out of memory" in text or "can't allocate memory" in text
        ):
            return True
        error, seen = error.__cause__ or error.__context__, seen + 1
    return False
