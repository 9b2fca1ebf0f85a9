"""Tokenizers trained with the `tokenizers` library on the data of a recipe."""

from __future__ import annotations

import io
import unicodedata
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from llm_magics.errors import RecipeError
from llm_magics.training.recipe.recipe import Tokenizer as Settings

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["SPECIAL", "train_tokenizer"]

SPECIAL = {"pad": 0, "bos": 1, "eos": 2, "unk": 3}
"""Ids that every tokenizer of ours begins with."""

_SPECIAL_TOKENS = ("<pad>", "<s>", "</s>", "<unk>")
_BYTE_TOKENS = tuple(f"<0x{byte:02X}>" for byte in range(256))
_ALPHABET = 120
"""Characters of a BPE that get a token of their own; rarer ones are spelt in UTF-8 bytes."""
_COVERAGE = 0.9995
"""Share of the text whose characters get a token of their own in a unigram vocabulary."""
_IDEOGRAPHS_AND_BREAKS = r"[\p{Han}\p{Hiragana}\p{Katakana}]|[^\S ]"


def train_tokenizer(texts: Iterable[str], settings: Settings) -> Tokenizer:
    """A tokenizer of the kind that the settings name; the same texts give the same tokenizer, byte
    for byte.

    "bpe" (Sennrich et al. 2016) and "unigram" (Kudo 2018): a mark for each space, digits one by
    one, punctuation apart; what the vocabulary lacks is spelt in UTF-8 bytes, so no text is
    unknown. "word": what stands between spaces, punctuation and each Chinese or Japanese character
    apart, seen `min_frequency` times or more; "char": every character, white space too. Both keep
    the most frequent `vocab_size`, the rest is <unk>.

    Decoding gives the text back, with runs of white space as they were: a char vocabulary exactly,
    a word vocabulary but for unknown words and "▁", which reads as a space. BPE and unigram give it
    back after NFC; a BPE also loses one space at the very beginning.
    Raises RecipeError where the vocabulary is too small for its kind or there is nothing to learn
    from.
    """
    train = {"bpe": _bpe, "unigram": _unigram, "word": _word, "char": _char}[settings.kind]
    return train(texts, settings)


def _bpe(texts: Iterable[str], settings: Settings) -> Tokenizer:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=False))
    tokenizer.normalizer = (
        normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
        if settings.lowercase
        else normalizers.NFC()
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always"),
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.Punctuation(),
        ]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Replace("▁", " "),
            decoders.Strip(" ", 1, 0),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=settings.vocab_size,
        special_tokens=[*_SPECIAL_TOKENS, *_BYTE_TOKENS],
        limit_alphabet=_ALPHABET,
        show_progress=False,
        min_frequency=settings.min_frequency,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _unigram(texts: Iterable[str], settings: Settings) -> Tokenizer:
    from tokenizers import Tokenizer, decoders, models

    texts = list(texts)
    fixed = [*_SPECIAL_TOKENS, *_BYTE_TOKENS]
    room = settings.vocab_size - len(fixed)
    characters = _covering_characters(texts, settings, room // 2)
    if not characters:
        raise RecipeError(
            f"tokenizer.vocab_size = {settings.vocab_size}: a unigram vocabulary needs "
            f"{len(fixed)} entries for bytes and marks, and characters to learn from; choose "
            "1000 or more, and give it text"
        )
    normalizer, words = _space_before(settings, compose=True), _unigram_words(characters)
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(word for word, _ in words.pre_tokenize_str(normalizer.normalize_str(text)))
    pieces = _learn_pieces(
        {word: n for word, n in counts.items() if characters.issuperset(word.removeprefix("▁"))},
        room,
    )
    # Marks and bytes never match a text: punctuation is split off, so no piece holds "<" beside
    # anything else.
    tokenizer = Tokenizer(
        models.Unigram([*((token, 0.0) for token in fixed), *pieces], SPECIAL["unk"], True)
    )
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, words
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), *_joined()])
    tokenizer.add_special_tokens(fixed)
    return tokenizer


def _learn_pieces(counts: dict[str, int], most: int) -> list[tuple[str, float]]:
    """(Piece, log probability) by sentencepiece: the trainer of `tokenizers` gives other pieces at
    every call."""
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=(f"{word}\t{counts[word]}" for word in sorted(counts)),
        input_format="tsv",
        model_writer=model,
        model_type="unigram",
        vocab_size=most + 1,
        hard_vocab_limit=False,
        character_coverage=1.0,
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        split_by_whitespace=False,
        split_by_unicode_script=False,
        split_by_number=False,
        max_sentence_length=1 << 30,
        unk_id=0,
        bos_id=-1,
        eos_id=-1,
        pad_id=-1,
        num_threads=1,
        minloglevel=2,
    )
    learnt = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    return [(learnt.id_to_piece(i), learnt.get_score(i)) for i in range(1, learnt.get_piece_size())]


def _unigram_words(characters: set[str]):
    """Splits off digits, punctuation and every character that has no entry of its own and is spelt
    in bytes."""
    from tokenizers import Regex, pre_tokenizers

    known = "".join(f"\\x{{{ord(character):X}}}" for character in sorted(characters | {"▁"}))
    return pre_tokenizers.Sequence(
        [
            _metaspace(),
            pre_tokenizers.Split(Regex(f"[^{known}]"), "isolated"),
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.Punctuation(),
        ]
    )


def _word(texts: Iterable[str], settings: Settings) -> Tokenizer:
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
    tokenizer.normalizer = _space_before(settings, compose=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            _metaspace(),
            pre_tokenizers.Split(Regex(_IDEOGRAPHS_AND_BREAKS), "isolated"),
            pre_tokenizers.Punctuation(),
        ]
    )
    tokenizer.decoder = decoders.Sequence(_joined())
    trainer = trainers.WordLevelTrainer(
        vocab_size=settings.vocab_size,
        min_frequency=settings.min_frequency,
        special_tokens=list(_SPECIAL_TOKENS),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _char(texts: Iterable[str], settings: Settings) -> Tokenizer:
    """A BPE without merges: it cuts a text into characters faster than a rule that splits at every
    one."""
    from tokenizers import Tokenizer, decoders, models, normalizers

    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text.lower() if settings.lowercase else text)
    if not counts:
        raise RecipeError("there is no text to learn a vocabulary from")
    frequent = sorted(counts, key=lambda character: (-counts[character], character))
    characters = sorted(frequent[: max(0, settings.vocab_size - len(_SPECIAL_TOKENS))])
    vocabulary = {token: number for number, token in enumerate([*_SPECIAL_TOKENS, *characters])}
    tokenizer = Tokenizer(
        models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>", fuse_unk=False)
    )
    if settings.lowercase:
        tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens(list(_SPECIAL_TOKENS))
    return tokenizer


def _covering_characters(texts: list[str], settings: Settings, most: int) -> set[str]:
    """The most frequent characters that make up the covered share of the texts, no more than
    `most`.

    White space, controls and what sentencepiece keeps for itself are not among them.
    """
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(_composed(text, settings))
    counts = Counter(
        {
            c: n
            for c, n in counts.items()
            if not c.isspace() and unicodedata.category(c) != "Cc" and c not in "▁▅"
        }
    )
    missing = sum(counts.values())
    spared = missing * (1 - _COVERAGE)
    covering = set()
    for character in sorted(counts, key=lambda character: (-counts[character], character))[
        : max(0, most)
    ]:
        if missing <= spared:
            break
        covering.add(character)
        missing -= counts[character]
    return covering


def _composed(text: str, settings: Settings) -> str:
    text = unicodedata.normalize("NFC", text)
    return text.lower() if settings.lowercase else text


def _space_before(settings: Settings, compose: bool):
    """A space before the text, so that its first word is the same token as inside a sentence."""
    from tokenizers import normalizers

    return normalizers.Sequence(
        [
            *([normalizers.NFC()] if compose else []),
            *([normalizers.Lowercase()] if settings.lowercase else []),
            normalizers.Prepend("▁"),
        ]
    )


def _metaspace():
    from tokenizers import pre_tokenizers

    return pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="never")


def _joined() -> list:
    from tokenizers import decoders

    return [decoders.Fuse(), decoders.Replace("▁", " "), decoders.Strip(" ", 1, 0)]
