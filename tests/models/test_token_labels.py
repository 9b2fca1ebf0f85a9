"""Labelled stretches: what transformers' own pipeline says, places that fit the text, and the same
in many windows."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from llm_magics.errors import WrongTask
from llm_magics.models.backends.hf.backend import HfBackend
from llm_magics.models.backends.loaded import LoadedModel
from llm_magics.models.manager.manager import ModelManager
from llm_magics.models.read.token_labels import joined, label_spans
from llm_magics.models.reference import parse_reference

TEXTS = [
    "Angela Merkel met Emmanuel Macron in Berlin on Tuesday.",
    "San Francisco-based Apple Inc. hired 1,200 people.",
    "I don't know; the unbelievably slow service ruined the evening.",
]


@pytest.fixture(scope="module")
def lease(models):
    manager = ModelManager(device="cpu")

    def lease(name):
        return manager.lease(str(models(name)))

    yield lease
    manager.close()


@pytest.mark.parametrize("aggregation", ["simple", "first", "average", "max"])
def test_stretches_are_those_of_the_pipeline(lease, models, aggregation):
    from transformers import pipeline

    reference = pipeline(
        "ner", model=str(models("tagger")), device="cpu", aggregation_strategy=aggregation
    )
    with lease("tagger") as model:
        found = label_spans(model, TEXTS, aggregation=aggregation)
    assert sum(map(len, found)) >= 6
    for spans, expected in zip(found, reference(TEXTS), strict=True):
        assert [(span.start, span.end, span.label) for span in spans] == [
            (one["start"], one["end"], one["entity_group"]) for one in expected
        ]
        assert [span.score for span in spans] == pytest.approx(
            [float(one["score"]) for one in expected], abs=1e-4
        )


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("B-PER I-PER O", [(0, 2, "PER")]),
        ("I-PER I-PER O I-LOC", [(0, 2, "PER"), (3, 4, "LOC")]),  # begun without a B-
        ("B-PER I-LOC I-LOC", [(0, 1, "PER"), (1, 3, "LOC")]),  # the type changes
        ("B-PER B-PER", [(0, 1, "PER"), (1, 2, "PER")]),
        ("B-PER O I-PER", [(0, 1, "PER"), (2, 3, "PER")]),
        ("S-LOC B-PER I-PER E-PER I-PER", [(0, 1, "LOC"), (1, 4, "PER"), (4, 5, "PER")]),
        ("U-LOC B-PER L-PER L-PER", [(0, 1, "LOC"), (1, 3, "PER"), (3, 4, "PER")]),
        ("B_PER M_PER E_PER", [(0, 3, "PER")]),
        ("PER PER O LOC", [(0, 2, "PER"), (3, 4, "LOC")]),
        ("O O", []),
        ("", []),
    ],
)
def test_tags_that_do_not_fit_together_are_repaired(tags, expected):
    words = [(i, i + 1, tag, 0.5 + i / 100) for i, tag in enumerate(tags.split())]
    spans = joined(words)
    assert [(span.start, span.end, span.label) for span in spans] == expected
    for span in spans:
        assert span.score == pytest.approx(
            sum(words[i][3] for i in range(span.start, span.end)) / (span.end - span.start)
        )


class WordsForTokenClassification(nn.Module):
    """Labels a token by its number alone: the same wherever a window begins."""

    def __init__(self, positions: int, vocabulary: int) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.scores = nn.Embedding(vocabulary, 3)
        self.config = SimpleNamespace(
            max_position_embeddings=positions, id2label={0: "O", 1: "B-X", 2: "I-X"}
        )

    def forward(self, input_ids, attention_mask, token_type_ids):
        return SimpleNamespace(logits=self.scores(input_ids))


@pytest.mark.parametrize("aggregation", ["first", "simple"])
def test_many_windows_give_what_one_gives(lease, aggregation):
    text = " ".join(TEXTS * 2)
    with lease("tagger") as real:
        tokenizer = real.tokenizer

    def spans(positions):
        module = WordsForTokenClassification(positions, len(tokenizer))
        model = LoadedModel(
            parse_reference("./made-here"),
            "bert",
            "encoder",
            HfBackend(module, tokenizer),
            "cpu",
            "float32",
            0,
            0,
        )
        return label_spans(model, [text], aggregation=aggregation)[0]

    whole, windows = spans(512), spans(32)
    assert len(whole) > 5
    assert [(span.start, span.end, span.label) for span in windows] == [
        (span.start, span.end, span.label) for span in whole
    ]


def test_the_bytes_of_one_character_and_the_spaces_before_a_word_stay_out_of_the_way():
    """Byte-level tokens: an emoji is several tokens with one place, and a word has its space at the
    front."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(
        models.BPE(
            {
                character: i
                for i, character in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))
            },
            [],
        )
    )
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, model_input_names=["input_ids", "attention_mask"]
    )
    names = {0: "O", 1: "B-X"}

    class LettersForTokenClassification(nn.Module):
        config = SimpleNamespace(max_position_embeddings=512, id2label=names)

        def forward(self, input_ids, attention_mask):
            outside = torch.tensor(
                [tokenizer.convert_ids_to_tokens(i) == "." for i in input_ids[0].tolist()]
            )
            return SimpleNamespace(logits=torch.stack([outside * 4.0, ~outside * 4.0], -1)[None])

    model = LoadedModel(
        parse_reference("./made-here"),
        "gpt2",
        "encoder",
        HfBackend(LettersForTokenClassification(), tokenizer),
        "cpu",
        "float32",
        0,
        0,
    )
    text = "Zoë 😀 Kö. ab"
    assert [text[span.start : span.end] for span in label_spans(model, [text])[0]] == [
        "Zoë",
        "😀",
        "Kö",
        "ab",
    ]


def test_every_place_fits_the_text_whatever_it_holds(lease):
    texts = ["", " \n", "Zoë\u00a0met 😀 <b>Li Wei</b>\tin 北京市。", "a" * 400, "．。、"]
    with lease("tagger") as model:
        for text, spans in zip(texts, label_spans(model, texts), strict=True):
            assert all(0 <= span.start < span.end <= len(text) for span in spans)
            assert all(
                text[span.start : span.end].strip() == text[span.start : span.end] for span in spans
            )
            assert all(a.end <= b.start for a, b in itertools.pairwise(spans))


def test_a_tagger_trained_here_reads_one_token_a_word(lease):
    with lease("house_tagger") as model:
        text = "Angela Merkel met @macron, in Berlin."
        words = ["Angela", "Merkel", "met", "@macron", ",", "in", "Berlin", "."]
        ids = torch.tensor([[coded[0] for coded in model.tokenizer.encode_source(words)]])
        with torch.no_grad():
            best = [model.labels[i] for i in model.module(ids)[0].argmax(-1).tolist()]
        places, at = [], 0
        for word in words:
            at = text.index(word, at)
            places.append((at, at + len(word)))
        expected = joined([(*place, tag, 1.0) for place, tag in zip(places, best, strict=True)])
        assert [(span.start, span.end, span.label) for span in label_spans(model, [text])[0]] == [
            (span.start, span.end, span.label) for span in expected
        ]
        assert label_spans(model, [""]) == [[]]


def test_a_model_without_such_a_head_is_refused(lease):
    with (
        lease("sentiment") as model,
        pytest.raises(WrongTask, match="no head that labels the tokens"),
    ):
        label_spans(model, TEXTS)
