"""A batch of prompts through a language model of `llm_magics.nn`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_magics.models.generate.sampling import choose_tokens

if TYPE_CHECKING:
    from llm_magics.models.backends.loaded import LoadedModel
    from llm_magics.models.generate.sample import Row, Watch
    from llm_magics.models.generate.sampling import Dice, Drawing

__all__ = ["write_rows"]


def write_rows(
    model: LoadedModel, rows: list[Row], drawing: Drawing, dice: Dice, watch: Watch
) -> None:
    """Goes on with each row until it has ended. Rows with prompts of one length, such as
    candidates, go together."""
    groups: dict[int, list[int]] = {}
    for place, row in enumerate(rows):
        groups.setdefault(len(row.prompt), []).append(place)
    for places in groups.values():
        _write(model, rows, places, drawing, dice, watch)


def _write(
    model: LoadedModel,
    rows: list[Row],
    places: list[int],
    drawing: Drawing,
    dice: Dice,
    watch: Watch,
) -> None:
    """A text as long as what the model can look back on is read again from half of that, as often
    as needed."""
    import torch

    module, window = model.module, model.context_tokens
    marks = [token for name, token in model.tokenizer.special.items() if name != "eos"]
    texts = [rows[place].prompt for place in places]
    with torch.inference_mode():
        cache, newest = None, texts
        while places and not watch.stopped():
            if window is not None and len(texts[0]) >= window:
                cache, newest = None, [text[-max(1, window // 2) :] for text in texts]
                texts = newest
            cache = cache or module.new_cache()
            logits = module.decode_step(torch.tensor(newest, device=model.device), cache)  # (B, V)
            logits[:, marks] = -torch.inf  # padding, the beginning and the unknown are no text
            chosen = choose_tokens(logits, drawing, dice, places).tolist()
            alive = watch.take(chosen, places)
            texts = [
                [*text, token]
                for text, token, goes_on in zip(texts, chosen, alive, strict=True)
                if goes_on
            ]
            newest = [text[-1:] for text in texts]
            if not all(alive):
                places = [place for place, goes_on in zip(places, alive, strict=True) if goes_on]
                cache.keep_rows(torch.tensor(alive, device=model.device).nonzero()[:, 0])
