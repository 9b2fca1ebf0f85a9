"""Answer spans: against every span scored one by one, and the same in one window as in many."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from llm_magics.errors import TooLong, WrongTask
from llm_magics.models.backends.hf.backend import HfBackend
from llm_magics.models.backends.loaded import LoadedModel
from llm_magics.models.read.spans import ANSWER_TOKENS, Inquiry, answer_spans
from llm_magics.models.reference import parse_reference

WORDS = [f"w{i}" for i in range(150)]
CONTEXT = " ".join(WORDS[i * 37 % 150] for i in range(140))


def tokenizer():
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    names = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", *WORDS]
    raw = Tokenizer(WordLevel({name: i for i, name in enumerate(names)}, unk_token="[UNK]"))
    raw.pre_tokenizer = Whitespace()
    raw.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 1), ("[SEP]", 2)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        unk_token="[UNK]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


class WordsForQuestionAnswering(nn.Module):
    """Scores a token by its word alone: the same wherever a window begins."""

    def __init__(self, positions: int) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.scores = nn.Embedding(200, 2)
        self.config = SimpleNamespace(max_position_embeddings=positions)

    def forward(self, input_ids, attention_mask, token_type_ids):
        starts, ends = self.scores(input_ids).unbind(-1)
        return SimpleNamespace(start_logits=starts, end_logits=ends)


def loaded(module, family="bert"):
    return LoadedModel(
        parse_reference("./made-here"),
        family,
        "encoder",
        HfBackend(module, tokenizer()),
        "cpu",
        "float32",
        0,
        0,
    )


def every_span(module, question: str, context: str):
    """({(start, end): probability}, probability of no answer), by enumeration."""
    known = tokenizer()
    coded = known(question, context, return_offsets_mapping=True, return_tensors="pt")
    output = module(coded["input_ids"], coded["attention_mask"], coded["token_type_ids"])
    starts, ends = output.start_logits[0].tolist(), output.end_logits[0].tolist()
    inside = [i for i, side in enumerate(coded.sequence_ids(0)) if side == 1]
    places = coded["offset_mapping"][0].tolist()
    scores = {
        (places[i][0], places[j][1]): starts[i] + ends[j]
        for i in inside
        for j in inside
        if i <= j < i + ANSWER_TOKENS
    }
    whole = sum(map(math.exp, scores.values())) + math.exp(starts[0] + ends[0])
    return {place: math.exp(score) / whole for place, score in scores.items()}, math.exp(
        starts[0] + ends[0]
    ) / whole


@pytest.fixture(scope="module")
def bert():
    from transformers import BertConfig, BertForQuestionAnswering

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=200,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=256,
        initializer_range=0.8,
    )
    return BertForQuestionAnswering(config).eval()


@torch.no_grad()
def test_probabilities_are_those_of_all_spans_enumerated(bert):
    question = "w1 w2 w3"
    reading = answer_spans(loaded(bert), [Inquiry(question, ((0, CONTEXT),))], count=5)[0]
    expected, none = every_span(bert, question, CONTEXT)
    assert reading.no_answer == pytest.approx(none, rel=1e-4)
    best = max(expected, key=expected.get)
    assert (reading.spans[0].start, reading.spans[0].end) == best
    for span in reading.spans:
        assert span.probability == pytest.approx(expected[span.start, span.end], rel=1e-4)
    for one in reading.spans:
        assert all(
            other is one or other.end <= one.start or other.start >= one.end
            for other in reading.spans
        )


@torch.no_grad()
def test_many_windows_give_what_one_window_gives():
    wide, narrow = WordsForQuestionAnswering(512), WordsForQuestionAnswering(256)
    asked = [Inquiry("w5 w9", ((0, " ".join([CONTEXT] * 3)),))]
    one, many = answer_spans(loaded(wide), asked)[0], answer_spans(loaded(narrow), asked)[0]
    assert [(span.start, span.end) for span in many.spans] == [
        (span.start, span.end) for span in one.spans
    ]
    assert many.no_answer == pytest.approx(one.no_answer, rel=1e-4)


def test_places_are_those_of_the_whole_text_when_it_comes_in_pieces():
    model = loaded(WordsForQuestionAnswering(512))
    middle = CONTEXT.index(" ", 200) + 1
    whole = answer_spans(model, [Inquiry("w5", ((0, CONTEXT[: middle - 1]),))])[0]
    pieces = answer_spans(model, [Inquiry("w5", ((1000, CONTEXT[: middle - 1]),))])[0]
    assert [(span.start - 1000, span.end - 1000) for span in pieces.spans] == [
        (span.start, span.end) for span in whole.spans
    ]


def test_questions_together_get_the_answers_they_get_alone(bert):
    given = (("w1 w2", 300), ("w7", 520), ("w8 w9 w4 w3", 90))
    asked = [Inquiry(question, ((0, CONTEXT[:length]),)) for question, length in given]
    together = answer_spans(loaded(bert), asked)
    alone = [answer_spans(loaded(bert), [one])[0] for one in asked]
    for a, b in zip(together, alone, strict=True):
        assert [(span.start, span.end) for span in a.spans] == [
            (span.start, span.end) for span in b.spans
        ]
        assert a.no_answer == pytest.approx(b.no_answer, rel=1e-3)


def test_a_model_without_such_a_head_is_refused(models):
    from llm_magics.models.manager.manager import ModelManager

    manager = ModelManager(device="cpu")
    with (
        manager.lease(str(models("bert"))) as model,
        pytest.raises(WrongTask, match="no head that finds answers"),
    ):
        answer_spans(model, [Inquiry("who", ((0, "text"),))])
    manager.close()


def test_a_question_that_fills_the_window_is_refused_with_the_limit():
    with pytest.raises(TooLong, match=r"the question has 100 tokens; .* reads 96 at once"):
        answer_spans(
            loaded(WordsForQuestionAnswering(96)),
            [Inquiry(" ".join(["w1"] * 100), ((0, CONTEXT),))],
        )
