"""The backend of models of `llm_magics.nn`, computed by torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from llm_magics.errors import WrongTask, printable
from llm_magics.models.backends.base import NATIVE, Capabilities
from llm_magics.models.generate.batches import check_writes, generate_in_batches
from llm_magics.models.generate.encoding import check_pair
from llm_magics.models.generate.sample_rows import sample_in_batches
from llm_magics.models.generate.sampling import choose_tokens
from llm_magics.models.generate.types import (
    Continuation,
    DecodeRequest,
    Generation,
    SampleRequest,
    Source,
    Throttle,
    different,
)

if TYPE_CHECKING:
    from llm_magics.models.backends.loaded import LoadedModel
    from llm_magics.models.folder.native_tokenizer import NativeTokenizer
    from llm_magics.models.generate.sample_rows import Row, SampleWatcher
    from llm_magics.models.generate.sampling import RandomStreams, SamplingParams

__all__ = ["NativeBackend"]

_CONTEXT = 256
"""Taken for a language model whose folder does not say on how many tokens at once it was
trained."""


class NativeBackend:
    """A model of `llm_magics.nn` with its NativeTokenizer."""

    kind = NATIVE
    capabilities = Capabilities(module=True)
    packages: tuple[str, ...] = ()
    has_chat_format = False
    config = None
    generation_config = None

    def __init__(self, module: Any, tokenizer: NativeTokenizer) -> None:
        self.module, self.tokenizer = module, tokenizer

    def max_source_tokens(self, model: LoadedModel) -> int | None:
        """None: positions are computed."""
        return None

    def context_tokens(self, model: LoadedModel) -> int | None:
        """As many as it has positions or was trained on; None for a recurrent model."""
        positions = getattr(self.module, "positions", None)
        if positions is None:
            return None
        learned = getattr(positions, "size", None) or model.trained_tokens or _CONTEXT
        return min(learned, model.trained_tokens or learned)

    def provenance(self, model: LoadedModel) -> dict[str, object]:
        """Device and number format."""
        return {"device": model.device, "dtype": model.dtype}

    def count_tokens(self, model: LoadedModel, texts: Sequence[str]) -> list[int]:
        """By its tokenizer for what it reads."""
        return [len(ids) for ids in self._encode(model, texts)]

    def generate(self, model: LoadedModel, request: DecodeRequest) -> list[Generation]:
        """See `generate.generate`. Raises WrongTask for a language model."""
        check_writes(model)
        if model.kind == "causal":
            raise WrongTask(
                f"{model.reference} is a small language model trained here: it continues text and "
                "follows no request"
            )
        if request.extra:
            raise WrongTask(
                f"{model.reference} does not sample; leave out {', '.join(request.extra)}"
            )
        check_pair(model, request.source_language, request.target_language)
        ids = self._encode(model, request.sources)
        return generate_in_batches(model, request, ids, _decode_batch)

    def sample(self, model: LoadedModel, request: SampleRequest) -> list[list[Continuation]]:
        """See `sample.continue_texts`."""
        if model.kind == "encoder":
            raise WrongTask(
                f"{model.reference} ({model.family}) encodes text, it does not write any; choose a "
                "causal model"
            )
        if model.kind != "causal":
            raise WrongTask(
                f"{model.reference} translates, it does not go on with a text: use %%translate, or "
                "choose a causal model"
            )
        # It learnt from pieces cut anywhere out of a stream of text: no mark stands before a
        # prompt, none behind it.
        ids = [tokens[:-1] for tokens in self._encode(model, request.sources)]
        return sample_in_batches(
            model,
            request,
            ids,
            ends=frozenset([self.tokenizer.special["eos"]]),
            decode=self.tokenizer.decode_target,
            write_rows=_write_rows,
        )

    def _encode(self, model: LoadedModel, sources: Sequence[Source]) -> list[list[int]]:
        """Token ids of each source. Raises WrongTask for messages."""
        texts = [source for source in sources if isinstance(source, str)]
        if len(texts) < len(sources):
            raise WrongTask(f"{model.reference} has no chat template: give it plain text")
        return self.tokenizer.encode_source([printable(text) for text in texts])


def _decode_batch(
    model: LoadedModel, ids: list[list[int]], positions: list[int], request: DecodeRequest
) -> list[Generation]:
    """Greedy or beam decoding of token lists; `positions` are the indices reported to `on_text`."""
    import torch

    from llm_magics.nn.decoding import greedy, n_best

    tokenizer, special = model.tokenizer, model.tokenizer.special
    longest = max(map(len, ids))
    padded = [tokens + [special["pad"]] * (longest - len(tokens)) for tokens in ids]
    source = torch.tensor(padded, device=model.device)  # (B, S)
    lengths = torch.tensor([len(tokens) for tokens in ids], device=model.device)
    padding = (
        torch.arange(longest, device=model.device)[None] >= lengths[:, None]
    )  # (B, S), True = padding
    limit = request.max_new_tokens or 2 * longest + 32
    throttle, was_stopped = Throttle(), []

    def on_token(sequences: list[list[int]]) -> None:
        if request.on_text is not None and throttle.due():
            for position, tokens in zip(positions, sequences, strict=True):
                request.on_text(position, tokenizer.decode_target(tokens), False)

    def stop() -> bool:
        if request.stopped():
            was_stopped.append(True)
        return bool(was_stopped)

    common = {"bos": special["bos"], "eos": special["eos"], "max_new_tokens": limit, "stop": stop}
    if request.num_beams > 1:  # a beam may change its mind, so nothing is streamed
        found = n_best(model.module, source, padding, beams=request.num_beams, **common)
        written = [[tokens for _, tokens in hypotheses] for hypotheses in found]
    else:
        written = [
            [tokens]
            for tokens in greedy(model.module, source, padding, on_token=on_token, **common)
        ]
    texts = [
        [tokenizer.decode_target(tokens) for tokens in row[: request.alternatives + 1]]
        for row in written
    ]
    return [
        Generation(
            best,
            tuple(row[0]),
            len(read),
            min(len(row[0]) + 1, limit),
            not was_stopped,
            different(best, others),
        )
        for (best, *others), row, read in zip(texts, written, ids, strict=True)
    ]


def _write_rows(
    model: LoadedModel,
    rows: list[Row],
    params: SamplingParams,
    streams: RandomStreams,
    watcher: SampleWatcher,
) -> None:
    """Goes on with each row until it has ended. Rows with prompts of one length, such as
    candidates, go together."""
    groups: dict[int, list[int]] = {}
    for place, row in enumerate(rows):
        groups.setdefault(len(row.prompt), []).append(place)
    for places in groups.values():
        _write(model, rows, places, params, streams, watcher)


def _write(
    model: LoadedModel,
    rows: list[Row],
    places: list[int],
    params: SamplingParams,
    streams: RandomStreams,
    watcher: SampleWatcher,
) -> None:
    """A text as long as what the model can look back on is read again from half of that, as often
    as needed."""
    import torch

    module, window = model.module, model.context_tokens
    marks = [token for name, token in model.tokenizer.special.items() if name != "eos"]
    texts = [rows[place].prompt for place in places]
    with torch.inference_mode():
        cache, newest = None, texts
        while places and not watcher.stopped():
            if window is not None and len(texts[0]) >= window:
                cache, newest = None, [text[-max(1, window // 2) :] for text in texts]
                texts = newest
            cache = cache or module.new_cache()
            logits = module.decode_step(torch.tensor(newest, device=model.device), cache)  # (B, V)
            logits[:, marks] = -torch.inf  # padding, the beginning and the unknown are no text
            chosen = choose_tokens(logits, params, streams, places).tolist()
            alive = watcher.take(chosen, places)
            texts = [
                [*text, token]
                for text, token, goes_on in zip(texts, chosen, alive, strict=True)
                if goes_on
            ]
            newest = [text[-1:] for text in texts]
            if not all(alive):
                places = [place for place, goes_on in zip(places, alive, strict=True) if goes_on]
                cache.keep_rows(torch.tensor(alive, device=model.device).nonzero()[:, 0])
