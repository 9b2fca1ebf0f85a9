"""How good the model is on held-out rows: cross-entropy, and a metric of its greedy translations."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from llm_magics.models.house_tokenizer import HouseTokenizer
from llm_magics.nn import Seq2SeqModel
from llm_magics.nn.decoding import greedy
from llm_magics.training.data import Batch, Encoded, Pair, batches
from llm_magics.training.tokenizer import SPECIAL

__all__ = ["loss_of", "metrics_of", "score", "to_tensors", "translate", "validation_loss"]


def to_tensors(batch: Batch, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Source ids (B, S), decoder input (B, T) that begins with bos, and targets (B, T) that end with eos; 0 pads."""
    def padded(rows: list[list[int]]) -> Tensor:
        width = max(map(len, rows))
        return torch.tensor([row + [SPECIAL["pad"]] * (width - len(row)) for row in rows], device=device)

    sources = padded([source for source, _ in batch.pairs])
    inputs = padded([[SPECIAL["bos"], *target[:-1]] for _, target in batch.pairs])
    return sources, inputs, padded([target for _, target in batch.pairs])


def loss_of(model: Seq2SeqModel, batch: Batch, device: torch.device, label_smoothing: float = 0.0) -> tuple[Tensor, int]:
    """Mean cross-entropy over the target tokens (nats), and how many those are."""
    sources, inputs, targets = to_tensors(batch, device)
    hidden = sources == SPECIAL["pad"]  # (B, S), True = padding
    logits = model(sources, inputs, src_key_padding_mask=hidden if hidden.any() else None)  # (B, T, V)
    loss = F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), ignore_index=SPECIAL["pad"],
                           label_smoothing=label_smoothing)
    return loss, int((targets != SPECIAL["pad"]).sum())


@torch.no_grad()
def validation_loss(model: Seq2SeqModel, pairs: list[Encoded], device: torch.device, tokens: int = 4_000) -> float:
    """Cross-entropy in nats a target token over all rows."""
    was_training, total, count = model.training, 0.0, 0
    model.eval()
    try:
        for batch in batches(pairs, tokens, seed=0, epoch=0):
            loss, size = loss_of(model, batch, device)
            total, count = total + loss.item() * size, count + size
    finally:
        model.train(was_training)
    return total / max(1, count)


def translate(model: Seq2SeqModel, tokenizer: HouseTokenizer, sources: list[str], device: torch.device,
              tokens: int = 4_000) -> list[str]:
    """Greedy translations, in the order given."""
    encoded = [(ids, [0]) for ids in tokenizer.encode_source(sources)]
    was_training, results = model.training, [""] * len(sources)
    model.eval()
    try:
        for batch in batches(encoded, tokens, seed=0, epoch=0):
            src = to_tensors(batch, device)[0]
            ids = greedy(model, src, src == SPECIAL["pad"], bos=SPECIAL["bos"], eos=SPECIAL["eos"],
                         max_new_tokens=int(1.5 * src.shape[1]) + 10)
            for row, sequence in zip(batch.rows, ids, strict=True):
                results[row] = tokenizer.decode_target(sequence)
    finally:
        model.train(was_training)
    return results


def score(metric: str, hypotheses: list[str], references: list[str]) -> float:
    """The metric in percent: sacrebleu's chrF2 or BLEU (detokenised, cased), or exact match."""
    if metric == "exact_match":
        return 100 * sum(h == r for h, r in zip(hypotheses, references, strict=True)) / max(1, len(references))
    import sacrebleu

    corpus = sacrebleu.corpus_chrf if metric == "chrf" else sacrebleu.corpus_bleu
    return corpus(hypotheses, [references]).score


def metrics_of(model: Seq2SeqModel, tokenizer: HouseTokenizer, pairs: list[Pair], metrics: list[str],
               device: torch.device) -> dict[str, float]:
    """Each metric of the greedy translations of these rows."""
    hypotheses = translate(model, tokenizer, [source for source, _ in pairs], device)
    return {metric: score(metric, hypotheses, [target for _, target in pairs]) for metric in metrics}
