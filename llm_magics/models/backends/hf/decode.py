"""One batch through the `generate` method of a transformers model."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from llm_magics.errors import InputError
from llm_magics.models.families import family_of
from llm_magics.models.generate.fast.loop import lean_rows
from llm_magics.models.generate.types import DecodeRequest, Generation, Throttle, different

if TYPE_CHECKING:
    from llm_magics.models.backends.loaded import LoadedModel

__all__ = ["decode_batch", "decode_texts", "default_new_tokens", "end_tokens"]

DEFAULT_NEW_TOKENS = 512


def decode_batch(
    model: LoadedModel, ids: list[list[int]], positions: list[int], request: DecodeRequest
) -> list[Generation]:
    """Texts for token lists; `positions` are the indices reported to `on_text`."""
    own = request.limits_of(positions)
    config = _configuration(model, ids, request, max(own) if own else request.max_new_tokens)
    inputs, mask = _padded(model, ids, config.pad_token_id)
    start = inputs.shape[1] if model.kind == "causal" else 1
    watcher = _watcher(model, positions, request, start, config)
    limits = own or [config.max_new_tokens or config.max_length - start] * len(ids)
    rows = lean_rows(model.module, config, inputs, mask, limits, watcher.saw)
    if rows is None:
        output = model.module.generate(
            input_ids=inputs,
            attention_mask=mask,
            generation_config=config,
            stopping_criteria=[watcher],
        )
        rows = _new_tokens(output, start, config)
    each = request.alternatives + 1  # rows of one source stand together, best first
    rows = [row[: limits[i // each]] for i, row in enumerate(rows)]
    texts = decode_texts(model, rows, request.forced_bos)
    ended = [bool(row) and row[-1] in end_tokens(config) for row in rows[::each]]
    return [
        Generation(
            texts[each * i],
            tuple(row[:-1] if at_end else row),
            len(read),
            len(row),
            at_end or not watcher.was_stopped,
            different(texts[each * i], texts[each * i + 1 : each * (i + 1)]),
        )
        for i, (row, at_end, read) in enumerate(zip(rows[::each], ended, ids, strict=True))
    ]


def _padded(model: LoadedModel, ids: list[list[int]], pad: int) -> tuple[Any, Any]:
    """(token ids, mask with 1 = real), both (B, S): padded on the right, for causal models on the
    left."""
    import torch

    longest = max(map(len, ids))
    rows, masks = [], []
    for tokens in ids:
        fill, real = [pad] * (longest - len(tokens)), [1] * len(tokens)
        gap = [0] * len(fill)
        rows.append(fill + tokens if model.kind == "causal" else tokens + fill)
        masks.append(gap + real if model.kind == "causal" else real + gap)
    return torch.tensor(rows, device=model.device), torch.tensor(masks, device=model.device)


def _configuration(
    model: LoadedModel, ids: list[list[int]], request: DecodeRequest, most: int | None
) -> Any:
    """What was asked for; `generate` takes everything left at None from the model's own
    settings."""
    from transformers import GenerationConfig

    authors, longest = model.module.generation_config, max(map(len, ids))
    config = GenerationConfig(
        num_beams=request.num_beams,
        do_sample=False,
        num_return_sequences=request.alternatives + 1,
        return_dict_in_generate=False,
        min_new_tokens=request.min_new_tokens,
        forced_bos_token_id=request.forced_bos,
        eos_token_id=authors.eos_token_id,
        pad_token_id=authors.pad_token_id,
    )
    limit = most or default_new_tokens(model, longest, authors)
    if authors.max_new_tokens is None:
        config.max_length = limit + (longest if model.kind == "causal" else 1)
    else:
        config.max_new_tokens = limit
    if config.pad_token_id is None:
        config.pad_token_id = min(end_tokens(config), default=0)
    unknown = config.update(**request.extra)
    if unknown:
        raise InputError(f"transformers knows no generation setting {sorted(unknown)[0]!r}")
    return config


def default_new_tokens(model: LoadedModel, longest: int, authors: Any) -> int:
    """How much to write when nobody said: in proportion for translations, else what the model's
    authors set."""
    limit = model.max_source_tokens or DEFAULT_NEW_TOKENS
    if model.kind == "causal":
        return max(1, min(DEFAULT_NEW_TOKENS, limit - longest))
    most = min(limit, authors.max_new_tokens or authors.max_length or DEFAULT_NEW_TOKENS) - 1
    return max(1, min(most, 3 * longest + 32) if family_of(model.family).translates else most)


def end_tokens(config: Any) -> set[int]:
    """The tokens that end a text, by a GenerationConfig."""
    end = config.eos_token_id
    return set(end) if isinstance(end, list | tuple) else set() if end is None else {end}


def _new_tokens(output: Any, start: int, config: Any) -> list[list[int]]:
    """The tokens written in each row, up to and with the first that ends it."""
    ends, rows = end_tokens(config), []
    for row in output[:, start:].tolist():
        end = next((place for place, token in enumerate(row) if token in ends), len(row))
        rows.append(row[: end + 1])
    return rows


def decode_texts(model: LoadedModel, rows: list[list[int]], language: int | None) -> list[str]:
    """The text of each row of tokens; `language` is the token that names the language at the front
    of a row, if any."""
    # The token that names the language is not text, whether or not the tokenizer counts it as
    # special.
    rows = [row[1:] if row and row[0] == language else row for row in rows]
    with model.using_tokenizer() as tokenizer:
        return tokenizer.batch_decode(rows, skip_special_tokens=True)


def _watcher(
    model: LoadedModel, positions: list[int], request: DecodeRequest, start: int, config: Any
) -> Any:
    """A stopping criterion that reports the texts so far and asks whether to stop, once per
    token."""
    import torch

    class Watcher:
        was_stopped = False
        throttle = Throttle()

        def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
            self._look(lambda: _new_tokens(input_ids, start, config))
            return torch.full((input_ids.shape[0],), self.was_stopped, device=input_ids.device)

        def saw(self, rows: list[list[int]]) -> bool:
            """The same for the lean loop; `rows` are the tokens written so far, none of a beam
            search."""
            self._look((lambda: rows) if rows else None)
            return self.was_stopped

        def _look(self, rows: Callable[[], list[list[int]]] | None) -> None:
            self.was_stopped = self.was_stopped or request.stopped()
            if (
                rows
                and request.on_text is not None
                and request.num_beams == 1
                and self.throttle.due()
            ):
                texts = decode_texts(model, rows(), request.forced_bos)
                for position, text in zip(positions, texts, strict=True):
                    request.on_text(position, text, False)
                self.throttle.spent()

    return Watcher()
