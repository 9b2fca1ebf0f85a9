"""Fine-tuning models that read one text and write another: Marian, NLLB, M2M100, mBART, T5, BART,
Pegasus."""

from __future__ import annotations

import random
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from llm_magics.errors import RecipeError
from llm_magics.models.backends.hf.decode import decode_batch
from llm_magics.models.backends.loaded import known_languages
from llm_magics.models.catalog import language_name, native_language
from llm_magics.models.families import family_of
from llm_magics.models.folder.adopt import adopt
from llm_magics.models.generate.encoding import forced_bos
from llm_magics.models.generate.types import DecodeRequest
from llm_magics.training.data.augment import drop_tokens, swap_tokens
from llm_magics.training.data.batches import Batch, bucketed
from llm_magics.training.objectives.base import EOS, padded
from llm_magics.training.objectives.finetune.base import IGNORED, FineTune, summed_cross_entropy
from llm_magics.training.run.events import AttentionSeen

__all__ = ["FineTuneSummarize", "FineTuneTranslate"]

Pair = tuple[list[int], list[int]]


class FineTuneTranslate(FineTune):
    """P(target | source), with the language marks and prefixes that the family knows."""

    kinds: ClassVar = {"source": "text", "target": "text"}
    metrics = (
        "chrf",
        "bleu",
        "bleu_tokenized",
        "exact_match",
        "rouge1",
        "rouge2",
        "rougeL",
        "perplexity",
    )
    final = ("bleu", "chrf")
    auto = "AutoModelForSeq2SeqLM"
    augments = True
    cuts = False
    """Whether a source that is too long is cut, in place of being left out."""

    def prepare(self) -> None:
        self.prefix = self._set_languages()
        self.before, self.after = _marks(self.ids(["a"])[0], self.ids([""])[0])
        super().prepare()

    def _set_languages(self) -> str:
        """Tell the tokenizer both languages; returns what is put before every source."""
        known = known_languages(self.tokenizer)
        if not known:
            return self._prefix()
        if (
            family_of(self.model.config.model_type).languages == "prefix"
        ):  # chooses the target by a word at the beginning
            return f">>{self._code('target', known)}<< "
        self.tokenizer.src_lang = self._code("source", known)
        self.tokenizer.tgt_lang = self._code("target", known)
        return ""

    def _code(self, side: str, known: tuple[str, ...]) -> str:
        """What the model calls the language of this side."""
        language = getattr(self.recipe.data, f"{side}_language") or (
            self.recipe.data.source_language if self.recipe.task == "summarize" else ""
        )
        code = native_language(language, known) if language else None
        if code is None:
            raise RecipeError(
                f"{self.reference} knows {len(known)} languages; data.{side}_language = "
                f"{language!r} is none of them. Give a code such as {', '.join(known[:6])}"
            )
        return code

    def _prefix(self) -> str:
        """T5 is told in words what to do; the checkpoint says in which."""
        if family_of(self.model.config.model_type).prompt != "task words":
            return ""
        data, tasks = (
            self.recipe.data,
            getattr(self.model.config, "task_specific_params", None) or {},
        )
        if self.recipe.task == "summarize":
            return str(tasks.get("summarization", {}).get("prefix", "summarize: "))
        if not (data.source_language and data.target_language):
            raise RecipeError(
                f"{self.reference} is told the languages in words; give data.source_language and "
                "data.target_language"
            )
        own = tasks.get(f"translation_{data.source_language}_to_{data.target_language}", {})
        return str(
            own.get(
                "prefix",
                f"translate {language_name(data.source_language)} to "
                f"{language_name(data.target_language)}: ",
            )
        )

    # Batches

    def encoded(self, part: str) -> list[Pair]:
        rows = self.corpus[part]
        sources = self.source_ids([source for source, _ in rows], part)
        with_target = self.ids_of_targets([target for _, target in rows])
        return self.kept_short(list(zip(sources, with_target, strict=True)), part)

    def source_ids(self, texts: list[str], part: str) -> list[list[int]]:
        texts = [self.prefix + text for text in texts]
        ids = self.ids(texts)
        long = [row for row, tokens in enumerate(ids) if len(tokens) > self.longest]
        if self.cuts and long:
            for row, tokens in zip(
                long, self.ids([texts[row] for row in long], cut=True), strict=True
            ):
                ids[row] = tokens
            self.remarks.append(
                f"{part}: {len(long):,} documents cut after {self.longest:,} tokens "
                "(batch.max_tokens_per_side)"
            )
        return ids

    def ids_of_targets(self, texts: list[str]) -> list[list[int]]:
        """Token ids as the decoder is to write them."""
        if not texts:
            return []
        coded = self.tokenizer(text_target=texts, verbose=False, return_attention_mask=False)
        return [list(row) for row in coded["input_ids"]]

    def sizes(self, item: Pair) -> tuple[int, int]:
        return len(item[0]), len(item[1])

    def targets(self, batch: Batch) -> int:
        return sum(len(target) for _, target in batch.items)

    def augmented(self, items: list[Pair], rng: random.Random) -> list[Pair]:
        settings = self.recipe.augmentation
        if not (settings.drop or settings.swap):
            return items
        return [
            (_noisy(source, self.before, self.after, settings, rng), target)
            for source, target in items
        ]

    def tensors(self, batch: Batch) -> tuple[Tensor, ...]:
        """Source ids and mask (B, S), decoder input (B, T) as the family shifts it, and targets (B,
        T)."""
        targets = padded([target for _, target in batch.items], self.device, IGNORED)
        return (
            *self.padded_ids([source for source, _ in batch.items]),
            self._shifted(targets),
            targets,
        )

    def _shifted(self, targets: Tensor) -> Tensor:
        """What the decoder reads to write the targets; families without a way of their own begin
        with their start mark."""
        if hasattr(self.model, "prepare_decoder_input_ids_from_labels"):
            return self.model.prepare_decoder_input_ids_from_labels(labels=targets)
        start = self.model.config.decoder_start_token_id
        if start is None:
            start = self.model.generation_config.decoder_start_token_id
        first = targets.new_full((len(targets), 1), start)  # (B, 1)
        return torch.cat(
            [first, targets[:, :-1].masked_fill(targets[:, :-1] == IGNORED, self.pad)], 1
        )

    def loss(
        self, model: nn.Module, tensors: tuple[Tensor, ...], label_smoothing: float = 0.0
    ) -> Tensor:
        sources, mask, inputs, targets = tensors
        logits = model(
            input_ids=sources, attention_mask=mask, decoder_input_ids=inputs, use_cache=False
        ).logits  # (B, T, V)
        return summed_cross_entropy(logits, targets, label_smoothing)

    # Figures

    @torch.no_grad()
    def predict(
        self, model: nn.Module, part: str, count: int | None = None, beams: int = 1
    ) -> list[str]:
        """What the model writes, by the code that writes when it is used as run:NAME."""
        rows = self.corpus[part][:count]
        ids = self.ids([self.prefix + source for source, _ in rows], cut=True)
        loaded = adopt(self.reference, model, self.tokenizer, None, None)
        language = forced_bos(
            loaded, self.recipe.data.target_language or self.recipe.data.source_language
        )
        request = DecodeRequest(
            (), num_beams=beams, max_new_tokens=self._most_written(), forced_bos=language
        )
        results = [""] * len(rows)
        for batch in bucketed(
            ids, max(1, 4_000 // beams), lambda tokens: (len(tokens),), seed=0, epoch=0
        ):
            for row, written in zip(
                batch.rows, decode_batch(loaded, batch.items, batch.rows, request), strict=True
            ):
                results[row] = written.text
        return results

    def _most_written(self) -> int:
        """A limit well beyond the longest target: a model that has not learnt to end yet writes on
        and on."""
        return min(
            self.longest,
            10 + 3 * max((len(target) for _, target in self.items["train"]), default=0) // 2,
        )

    def attention(self, model: nn.Module, step: int) -> AttentionSeen | None:
        if (
            not self.items["validation"] or self.cuts
        ):  # a document has too many tokens for a picture
            return None
        source, target = self.corpus.validation[0]
        if (
            max(len(self.ids([self.prefix + source])[0]), len(self.ids_of_targets([target])[0]))
            > self.longest
        ):
            return None
        return self.attention_in(model, "seq2seq", step, self.prefix + source, target)

    def describe(self, config: Any) -> None:
        super().describe(config)
        if not known_languages(
            self.tokenizer
        ):  # a model of one pair now; the others are asked for the pair every time
            data = self.recipe.data
            config.llm_magics |= {
                "source_language": data.source_language,
                "target_language": data.target_language,
            }


class FineTuneSummarize(FineTuneTranslate):
    """P(summary | document); of a long document the beginning is read."""

    metrics = ("rougeL", "rouge1", "rouge2", "bleu", "chrf", "exact_match", "perplexity")
    final = ("rouge1", "rouge2", "rougeL")
    cuts = True


def _marks(one: list[int], none: list[int]) -> tuple[int, int]:
    """How many of the model's own marks stand before and after a text, from the ids of "a" and of
    ""."""
    before = 0
    while before < min(len(one), len(none)) and one[before] == none[before]:
        before += 1
    return before, len(none) - before


def _noisy(ids: list[int], before: int, after: int, settings: Any, rng: random.Random) -> list[int]:
    """Tokens dropped and swapped between the marks."""
    end = len(ids) - after
    inner = [*ids[before:end], EOS]  # which both functions leave where it is
    inner = swap_tokens(drop_tokens(inner, settings.drop, rng), settings.swap, rng)
    return [*ids[:before], *inner[:-1], *ids[end:]]
