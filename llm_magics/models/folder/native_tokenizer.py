"""The tokenizers of this project's own models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from llm_magics.errors import BrokenModel
from llm_magics.models.folder.library_errors import boundary
from llm_magics.models.folder.safe_files import check_inside

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["DEFAULT_SPECIAL", "NativeTokenizer", "read_tokenizers"]

DEFAULT_SPECIAL = {"pad": 0, "bos": 1, "eos": 2, "unk": 3}
_MAX_TOKENIZER_BYTES = 64 << 20


class NativeTokenizer:
    """The two tokenizers of a native model; both may be one. Safe to share between threads.

    Token lists never hold `bos`; those of `encode_source` and `encode_target` end with `eos`.
    """

    def __init__(
        self, source: Tokenizer, target: Tokenizer, special: dict[str, int] | None = None
    ) -> None:
        self.source, self.target = source, target
        self.special = dict(DEFAULT_SPECIAL if special is None else special)
        for tokenizer in (source, target):
            # Set once, here: changing them per call is what makes a shared tokenizer give wrong
            # results.
            tokenizer.no_padding()
            tokenizer.no_truncation()
            tokenizer.encode_special_tokens = True  # "</s>" in a text is text, not the end mark

    def encode_source(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each source text, `eos` at the end."""
        return self._encode(self.source, texts)

    def encode_target(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each target text, `eos` at the end."""
        return self._encode(self.target, texts)

    def _encode(self, tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
        with boundary("the tokenizer", "used"):
            encodings = tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [[*encoding.ids, self.special["eos"]] for encoding in encodings]

    def decode_target(self, ids: Sequence[int]) -> str:
        """The text of target tokens, special tokens left out."""
        return self._decode(self.target, ids)

    def decode_source(self, ids: Sequence[int]) -> str:
        """The text of source tokens, special tokens left out."""
        return self._decode(self.source, ids)

    def _decode(self, tokenizer: Tokenizer, ids: Sequence[int]) -> str:
        hidden = set(self.special.values())
        # The library counts the byte tokens, which spell rare characters, as special: skip ours
        # only.
        return tokenizer.decode(
            [token for token in ids if token not in hidden], skip_special_tokens=False
        )

    def source_tokens(self, ids: Sequence[int]) -> list[str]:
        """The written form of each source token, as the vocabulary has it."""
        return [self.source.id_to_token(token) or f"<{token}>" for token in ids]

    def target_tokens(self, ids: Sequence[int]) -> list[str]:
        """The written form of each target token, as the vocabulary has it."""
        return [self.target.id_to_token(token) or f"<{token}>" for token in ids]

    def source_offsets(self, text: str) -> list[tuple[int, int]]:
        """Where in `text` each token of `encode_source([text])` stands, `eos` as (len, len)."""
        return [*self.source.encode(text, add_special_tokens=False).offsets, (len(text), len(text))]

    def target_offsets(self, text: str) -> list[tuple[int, int]]:
        """Where in `text` each token of `encode_target([text])` stands, `eos` as (len, len)."""
        return [*self.target.encode(text, add_special_tokens=False).offsets, (len(text), len(text))]


def read_tokenizers(folder: Path) -> tuple[Tokenizer, Tokenizer]:
    """(source, target) tokenizers of a native folder; the same object twice when there is one
    file."""
    both = folder / "tokenizer.json"
    if both.exists():
        tokenizer = _read_tokenizer(both)
        return tokenizer, tokenizer
    return _read_tokenizer(folder / "source_tokenizer.json"), _read_tokenizer(
        folder / "target_tokenizer.json"
    )


def _read_tokenizer(path: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    check_inside(path, path.parent)
    if path.stat().st_size > _MAX_TOKENIZER_BYTES:
        raise BrokenModel(f"{path} is larger than {_MAX_TOKENIZER_BYTES >> 20} MiB")
    with boundary(f"the tokenizer {path}"):
        return Tokenizer.from_file(str(path))
