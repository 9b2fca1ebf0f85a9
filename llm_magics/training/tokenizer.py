"""Tokenizers trained with the `tokenizers` library on the data of a recipe."""

from __future__ import annotations

from collections.abc import Iterable

from llm_magics.training.recipe import Tokenizer as Settings

__all__ = ["SPECIAL", "train_tokenizer"]

SPECIAL = {"pad": 0, "bos": 1, "eos": 2, "unk": 3}
"""Ids that every tokenizer of ours begins with."""

_ALPHABET = 120
"""Characters that get a token of their own; rarer ones are spelt in UTF-8 bytes."""


def train_tokenizer(texts: Iterable[str], settings: Settings):
    """A `tokenizers.Tokenizer`: NFC, a mark for each space, digits one by one, BPE with byte fallback.

    Byte fallback spells what the vocabulary lacks in UTF-8 bytes, so no text is unknown and decoding gives the
    text back (after NFC and with runs of white space as they were).
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    byte_tokens = [f"<0x{byte:02X}>" for byte in range(256)]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=False))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always"),
        pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.Punctuation()])
    tokenizer.decoder = decoders.Sequence([
        decoders.ByteFallback(), decoders.Fuse(), decoders.Replace("▁", " "), decoders.Strip(" ", 1, 0)])
    trainer = trainers.BpeTrainer(
        vocab_size=settings.vocab_size, special_tokens=["<pad>", "<s>", "</s>", "<unk>", *byte_tokens],
        limit_alphabet=_ALPHABET, show_progress=False, min_frequency=2)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer
