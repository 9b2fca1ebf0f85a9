"""A batch of prompts through the `generate` method of a transformers model, its tokens chosen by
us.

`generate` draws from torch's global generator, which other cells and threads use too. So it is told
to take the most probable token, and a last logits processor leaves it one token to take.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llm_magics.models.generate.sampling import choose_tokens

if TYPE_CHECKING:
    from llm_magics.models.backends.loaded import LoadedModel
    from llm_magics.models.generate.sample_rows import Row, SampleWatcher
    from llm_magics.models.generate.sampling import RandomStreams, SamplingParams

__all__ = ["write_rows"]


def write_rows(
    model: LoadedModel,
    rows: list[Row],
    params: SamplingParams,
    streams: RandomStreams,
    watcher: SampleWatcher,
) -> None:
    """Goes on with each row until it has ended."""
    from transformers import LogitsProcessorList, StoppingCriteriaList

    config = _configuration(model, rows)
    inputs, mask = _padded(model, rows, config.pad_token_id)
    processors = [] if params.is_greedy else [_chooser(params, streams, range(len(rows)))]
    model.module.generate(
        input_ids=inputs,
        attention_mask=mask,
        generation_config=config,
        logits_processor=LogitsProcessorList(processors),
        stopping_criteria=StoppingCriteriaList([_criterion(watcher)]),
    )


def _padded(model: LoadedModel, rows: list[Row], pad: int) -> tuple[Any, Any]:
    """(token ids, mask with 1 = real), both (B, S): padded on the left for causal models, else on
    the right."""
    import torch

    longest = max(len(row.prompt) for row in rows)
    ids = torch.full((len(rows), longest), pad)
    mask = torch.zeros_like(ids)
    for i, row in enumerate(rows):
        real = (
            slice(longest - len(row.prompt), None)
            if model.kind == "causal"
            else slice(len(row.prompt))
        )
        ids[i, real], mask[i, real] = torch.tensor(row.prompt), 1
    return ids.to(model.device), mask.to(model.device)


def _configuration(model: LoadedModel, rows: list[Row]) -> Any:
    """Greedy, without an end of its own but the rows'; what is left at None comes from the model's
    own settings."""
    from transformers import GenerationConfig

    authors = model.module.generation_config
    config = GenerationConfig(
        num_beams=1,
        do_sample=False,
        num_return_sequences=1,
        return_dict_in_generate=False,
        # or the authors' own would come in with a warning that they are of no use
        temperature=1.0,
        top_p=1.0,
        eos_token_id=authors.eos_token_id,
        pad_token_id=authors.pad_token_id,
    )
    longest, most = max(len(row.prompt) for row in rows), max(row.limit for row in rows)
    if authors.max_new_tokens is None:
        config.max_length = most + (longest if model.kind == "causal" else 1)
    else:
        config.max_new_tokens = most
    if config.pad_token_id is None:
        ends = authors.eos_token_id
        config.pad_token_id = min(ends if isinstance(ends, list | tuple) else [ends or 0])
    return config


def _chooser(params: SamplingParams, streams: RandomStreams, places: range) -> Any:
    """The logits processor that leaves one token of each row."""
    import torch
    from transformers import LogitsProcessor

    class Chooser(LogitsProcessor):
        def __call__(self, input_ids: Any, scores: Any) -> Any:
            chosen = choose_tokens(scores, params, streams, places)
            return torch.full_like(scores, -torch.inf).scatter(1, chosen[:, None], 0.0)

    return Chooser()


def _criterion(watcher: SampleWatcher) -> Any:
    """The stopping criterion that hands every new token to its row, and ends the rows that are
    done."""
    import torch
    from transformers import StoppingCriteria

    class Criterion(StoppingCriteria):
        def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
            newest = input_ids[:, -1]
            alive = torch.tensor(watcher.take(newest.tolist()), device=newest.device)
            return torch.full_like(alive, True) if watcher.stopped() else ~alive

    return Criterion()
