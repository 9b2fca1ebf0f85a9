"""From text to token ids and back to tokens that people can read.

A model here is anything with `module`, `tokenizer` and `kind` ("seq2seq", "causal" or "encoder"),
as the model manager gives; the tokenizer is our own (`encode_source`, …) or one of transformers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from torch import nn

from llm_magics.errors import AttentionError
from llm_magics.nn.positions import LearnedPositions

__all__ = [
    "MAX_TOKENS",
    "check_length",
    "decoder_ids",
    "is_own",
    "readable",
    "source_ids",
    "source_pair",
    "source_tokens",
    "target_ids",
    "target_tokens",
]

MAX_TOKENS = 8_192
"""More are not looked at, whatever the model can read."""

_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def is_own(model: Any) -> bool:
    """Whether the tokenizer is one of ours."""
    return hasattr(model.tokenizer, "encode_source")


def source_ids(model: Any, text: str) -> list[int]:
    """Token ids of what the encoder, or the one stack, reads."""
    return (
        model.tokenizer.encode_source([text])[0]
        if is_own(model)
        else list(model.tokenizer(text)["input_ids"])
    )


def source_pair(
    model: Any, first: str, second: str
) -> tuple[list[int], list[int] | None, list[int]]:
    """Two texts in one input: token ids, token types where the model has them, and the text (0, 1)
    of each token.

    AttentionError for a model that does not read pairs.
    """
    if is_own(model) or model.kind != "encoder":
        raise AttentionError(
            "only encoders of transformers read a pair of texts; give this model one text"
        )
    coded = model.tokenizer(first, second)
    types = coded.get("token_type_ids")
    if types is not None:
        return list(coded["input_ids"]), list(types), list(types)
    segments, current = [], 0
    for text in coded.sequence_ids(0):  # None: a mark, which belongs to the text before it
        current = current if text is None else text
        segments.append(current)
    return list(coded["input_ids"]), None, segments


def target_ids(model: Any, text: str) -> list[int]:
    """Token ids of the target with its end mark."""
    if is_own(model):
        return model.tokenizer.encode_target([text])[0]
    return list(model.tokenizer(text_target=text)["input_ids"])


def decoder_ids(model: Any, target: list[int]) -> list[int]:
    """What the decoder reads to write `target` and its end mark: the start mark, then all but the
    last token."""
    if is_own(model):
        return [model.tokenizer.special["bos"], *target[:-1]]
    start = getattr(model.module.config, "decoder_start_token_id", None)
    if start is None:
        start = getattr(model.module.generation_config, "decoder_start_token_id", None)
    if start is None:
        raise AttentionError(
            f"{type(model.module).__name__} does not say which token its decoder starts with"
        )
    return [start, *target[:-1]]


def source_tokens(model: Any, ids: Sequence[int]) -> list[str]:
    """The tokens of a source as the vocabulary spells them; see `readable`."""
    return model.tokenizer.source_tokens(ids) if is_own(model) else _spellings(model.tokenizer, ids)


def target_tokens(model: Any, ids: Sequence[int]) -> list[str]:
    """The tokens of a target as the vocabulary spells them; see `readable`."""
    return model.tokenizer.target_tokens(ids) if is_own(model) else _spellings(model.tokenizer, ids)


def _spellings(tokenizer: Any, ids: Sequence[int]) -> list[str]:
    # A model may have more embeddings than its tokenizer has tokens: T5 does.
    return [
        f"<{number}>" if token is None else token
        for number, token in zip(ids, tokenizer.convert_ids_to_tokens(list(ids)), strict=True)
    ]


def check_length(model: Any, ids: Sequence[int]) -> None:
    """AttentionError for more tokens than the model has positions, or than 8,192."""
    limit = min(_positions(model) or MAX_TOKENS, MAX_TOKENS)
    if len(ids) > limit:
        reader = "the model reads" if limit < MAX_TOKENS else "an attention map shows"
        raise AttentionError(
            f"the text has {len(ids):,} tokens, {reader} {limit:,} at most: look at a part of it"
        )


def _positions(model: Any) -> int | None:
    """How many positions the model knows, None where they are computed."""
    for name, part in model.module.named_modules():
        if isinstance(part, LearnedPositions):
            return part.table.shape[0]
        if (
            name.endswith("position_embeddings")
            and isinstance(part, nn.Embedding)
            and part.padding_idx is not None
        ):
            return (
                part.num_embeddings - part.padding_idx - 1
            )  # RoBERTa counts from behind its padding token
    if hasattr(model, "max_source_tokens"):
        return model.max_source_tokens
    config = getattr(model.module, "config", None)
    return getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)


def readable(tokenizer: Any, tokens: Sequence[str]) -> list[str]:
    """Tokens as people read them: Ġ, ▁ and ## go, Ċ is a line end, bytes become the character they
    spell.

    A character that is spelt by several tokens stands at each of them with its part, "€(1/3)";
    bytes that spell none are written <E2>. Of a token with more than a space in it the space before
    is left out; raw tokens tell it.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None) or getattr(
        tokenizer, "source", tokenizer
    )
    rules = repr(getattr(backend, "decoder", None))
    spelt = [_spelt(token, rules) for token in tokens]
    shown = [piece if isinstance(piece, str) else "" for piece in spelt]
    start = 0
    while start < len(spelt):
        stop = start
        while stop < len(spelt) and isinstance(spelt[stop], bytes):
            stop += 1
        if stop > start:
            shown[start:stop] = _characters(spelt[start:stop])
        start = stop + 1
    return [text[1:] if text.startswith(" ") and text.strip() else text for text in shown]


def _spelt(token: str, rules: str) -> str | bytes:
    """The text of a token, or the bytes of which it spells a part."""
    if "ByteLevel" in rules:
        alphabet = _byte_alphabet()
        known = all(character in alphabet for character in token)
        return bytes(alphabet[character] for character in token) if known else token
    if found := _BYTE_TOKEN.fullmatch(token):
        return bytes([int(found[1], 16)])
    if "WordPiece" in rules and len(token) > 2:
        return token.removeprefix("##")
    if "BPEDecoder" in rules:
        return token.removesuffix("</w>") or token
    return token.replace("▁", " ")


def _characters(parts: list[bytes]) -> list[str]:
    """What each part of a run of bytes spells in UTF-8."""
    data, owner = b"".join(parts), [number for number, part in enumerate(parts) for _ in part]
    shown, at = ["" for _ in parts], 0
    while at < len(data):
        length = next((n for n in range(1, 5) if _is_character(data[at : at + n])), 0)
        owners = sorted(set(owner[at : at + length]))
        for number, token in enumerate(owners, 1):
            character = data[at : at + length].decode()
            shown[token] += (
                character if len(owners) == 1 else f"{character}({number}/{len(owners)})"
            )
        if not length:
            shown[owner[at]] += f"<{data[at]:02X}>"
        at += length or 1
    return shown


def _is_character(data: bytes) -> bool:
    try:
        return len(data.decode()) == 1
    except UnicodeDecodeError:
        return False


@cache
def _byte_alphabet() -> dict[str, int]:
    """Character → byte of byte-level BPE: printable Latin-1 stands for itself, the others follow
    from U+0100 on.

    Source: Radford et al. 2019, section 2.2.
    """
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {
        chr(256 + n): byte for n, byte in enumerate(others)
    }
