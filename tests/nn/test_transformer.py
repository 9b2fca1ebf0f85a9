"""The Transformer against torch.nn.Transformer with copied weights, in float64: values and
gradients."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import nn

from llm_magics.nn import Seq2SeqModel
from llm_magics.nn.decoding import beam, greedy
from llm_magics.nn.positions import SinusoidalPositions

V, D, H, F = 31, 16, 4, 40


def copy_attention(ours, theirs) -> None:
    theirs.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key.weight, ours.value.weight]))
    theirs.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.key.bias, ours.value.bias]))
    theirs.out_proj.load_state_dict(ours.output.state_dict())


@torch.no_grad()
def twin(ours: Seq2SeqModel, norm_first: bool) -> nn.Transformer:
    theirs = nn.Transformer(
        D, H, 2, 3, F, dropout=0.0, batch_first=True, norm_first=norm_first, dtype=torch.float64
    )
    for mine, other in zip(ours.encoder.layers, theirs.encoder.layers, strict=True):
        copy_attention(mine.self_attention, other.self_attn)
        copy_rest(mine, other, [mine.around_attention, mine.around_feed_forward])
    for mine, other in zip(ours.decoder.layers, theirs.decoder.layers, strict=True):
        copy_attention(mine.self_attention, other.self_attn)
        copy_attention(mine.cross_attention, other.multihead_attn)
        copy_rest(mine, other, [mine.around_self, mine.around_cross, mine.around_feed_forward])
    for stack, other in ((ours.encoder, theirs.encoder), (ours.decoder, theirs.decoder)):
        if norm_first:
            other.norm.load_state_dict(stack.norm.state_dict())
        else:
            other.norm = nn.Identity()
    return theirs


def copy_rest(mine, other, sublayers) -> None:
    other.linear1.load_state_dict(mine.feed_forward.inner.state_dict())
    other.linear2.load_state_dict(mine.feed_forward.outer.state_dict())
    for number, sublayer in enumerate(sublayers, 1):
        getattr(other, f"norm{number}").load_state_dict(sublayer.norm.state_dict())


def make(norm_first: bool) -> Seq2SeqModel:
    torch.manual_seed(0)
    model = Seq2SeqModel(V, V, D, H, 2, 3, F, dropout=0.0, norm_first=norm_first).double()
    for parameter in model.parameters():  # biases and norms away from their starting points
        nn.init.normal_(parameter, std=0.3)
    return model


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    padding = torch.zeros(3, 7, dtype=torch.bool)
    padding[0, 5:] = padding[2, 3:] = True
    return torch.randint(4, V, (3, 7)), torch.randint(4, V, (3, 6)), padding


@pytest.mark.parametrize("norm_first", [False, True])
def test_values_and_gradients_equal_torchs_transformer(norm_first, batch):
    src, tgt, padding = batch
    ours = make(norm_first)
    theirs = twin(ours, norm_first)
    logits = ours(src, tgt, src_key_padding_mask=padding)
    (grad,) = torch.autograd.grad(logits.square().sum(), ours.source_embedding.weight)
    embed = lambda table, ids: ours.positions(table(ids) * math.sqrt(D))  # noqa: E731 - used twice, here only
    hidden = nn.Transformer.generate_square_subsequent_mask(6, dtype=torch.float64)
    out = theirs(
        embed(ours.source_embedding, src),
        embed(ours.target_embedding, tgt),
        tgt_mask=hidden,
        src_key_padding_mask=padding,
        memory_key_padding_mask=padding,
    )
    expected = ours.generator(out)
    (expected_grad,) = torch.autograd.grad(expected.square().sum(), ours.source_embedding.weight)
    torch.testing.assert_close(logits, expected)
    torch.testing.assert_close(grad, expected_grad)


def test_padding_does_not_change_a_sentence(batch):
    src, tgt, padding = batch
    model = make(True)
    whole = model(src, tgt, src_key_padding_mask=padding)
    torch.testing.assert_close(model(src[2:, :3], tgt[2:]), whole[2:])


def test_masks_may_be_bool_or_float(batch):
    src, tgt, _ = batch
    model = make(False)
    hidden = torch.ones(6, 6, dtype=torch.bool).triu(1)
    added = torch.zeros(6, 6).double().masked_fill(hidden, -math.inf)
    torch.testing.assert_close(model(src, tgt, tgt_mask=hidden), model(src, tgt))
    torch.testing.assert_close(model(src, tgt, tgt_mask=added), model(src, tgt))


@torch.no_grad()
def test_every_cached_step_has_the_logits_of_the_whole(batch):
    src, tgt, padding = batch
    model = make(True).eval()
    memory, cache = model.encode(src, src_key_padding_mask=padding), model.new_cache()
    whole = model(src, tgt, src_key_padding_mask=padding)
    for t in range(tgt.shape[1]):
        torch.testing.assert_close(
            model.decode_step(tgt[:, t : t + 1], memory, padding, cache), whole[:, t]
        )


def test_cached_greedy_decoding_gives_the_tokens_of_the_uncached(batch):
    src, _, padding = batch
    model = make(True).eval()
    with torch.no_grad():
        ours = greedy(model, src, padding, bos=1, eos=2, max_new_tokens=15)
        for row in range(len(src)):
            sequence = [1]
            for _ in range(15):
                logits = model(
                    src[row : row + 1],
                    torch.tensor([sequence]),
                    src_key_padding_mask=padding[row : row + 1],
                )
                token = int(logits[0, -1].argmax())
                if token == 2:
                    break
                sequence.append(token)
            assert ours[row] == sequence[1:]


def test_finished_sentences_leave_the_batch_without_changing_the_others(batch):
    src, _, padding = batch
    model = make(True).eval()
    tokens = [
        int(t)
        for t in model(src[:1], torch.tensor([[1]]), src_key_padding_mask=padding[:1])[0].argmax(-1)
    ]
    together = greedy(
        model, src, padding, bos=1, eos=tokens[0], max_new_tokens=8
    )  # the first ends at once
    assert together[0] == []
    for row in (1, 2):
        alone = greedy(
            model,
            src[row : row + 1],
            padding[row : row + 1],
            bos=1,
            eos=tokens[0],
            max_new_tokens=8,
        )
        assert together[row] == alone[0]


def test_decoding_can_be_stopped_between_tokens(batch):
    src, _, padding = batch
    seen: list[int] = []
    out = greedy(
        make(True).eval(),
        src,
        padding,
        bos=1,
        eos=-1,
        max_new_tokens=50,
        on_token=lambda rows: seen.append(len(rows[0])),
        stop=lambda: len(seen) >= 4,
    )
    assert seen == [1, 2, 3, 4]
    assert [len(row) for row in out] == [4, 4, 4]


@pytest.mark.parametrize("length_penalty", [0.0, 1.0])
def test_a_wide_enough_beam_finds_the_best_of_all_sequences(length_penalty):
    """Against enumeration: every sequence of at most 3 tokens from a vocabulary of 5, the end mark
    among them."""
    torch.manual_seed(3)
    model = Seq2SeqModel(5, 5, D, H, 1, 1, F, dropout=0.0).double().eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    src, longest, eos = torch.randint(3, 5, (2, 4)), 3, 2
    others = [token for token in range(5) if token != eos]
    found = beam(
        model, src, bos=1, eos=eos, max_new_tokens=longest, beams=200, length_penalty=length_penalty
    )
    for row in range(2):
        best = (-math.inf, [])
        for size in range(longest + 1):
            for body in itertools.product(others, repeat=size):
                whole = [*body, eos] if size < longest else list(body)
                with torch.no_grad():
                    log_p = model(src[row : row + 1], torch.tensor([[1, *whole[:-1]]]))[
                        0
                    ].log_softmax(-1)
                score = (
                    sum(log_p[i, token].item() for i, token in enumerate(whole))
                    / len(whole) ** length_penalty
                )
                best = max(best, (score, list(body)), key=lambda item: item[0])
        assert found[row] == best[1]


def test_one_beam_is_greedy_decoding(batch):
    src, _, padding = batch
    model = make(True).eval()
    common = {"bos": 1, "eos": 2, "max_new_tokens": 12}
    assert beam(model, src, padding, beams=1, **common) == greedy(model, src, padding, **common)


def test_shared_embeddings_are_one_matrix():
    model = Seq2SeqModel(V, V, D, H, 1, 1, F, shared_embeddings=True)
    assert model.generator.weight is model.source_embedding.weight is model.target_embedding.weight
    with pytest.raises(ValueError, match="one vocabulary"):
        Seq2SeqModel(V, V + 1, D, H, 1, 1, F, shared_embeddings=True)


def test_positions_are_sines_and_cosines_and_the_table_grows():
    positions = SinusoidalPositions(6, size=4)
    out = positions(torch.zeros(1, 9, 6))
    for pos in (0, 3, 8):
        for i in range(3):
            angle = pos / 10_000 ** (2 * i / 6)
            assert out[0, pos, 2 * i].item() == pytest.approx(math.sin(angle), abs=1e-6)
            assert out[0, pos, 2 * i + 1].item() == pytest.approx(math.cos(angle), abs=1e-6)
    torch.testing.assert_close(positions(torch.zeros(1, 2, 6), start=7), out[:, 7:9])


def test_learned_positions_of_both_sides_are_added_to_what_torchs_transformer_reads(batch):
    src, tgt, padding = batch
    torch.manual_seed(0)
    ours = Seq2SeqModel(V, V, D, H, 2, 3, F, dropout=0.0, norm_first=True, max_positions=9).double()
    for parameter in ours.parameters():
        nn.init.normal_(parameter, std=0.3)
    theirs = twin(ours, norm_first=True)
    read = ours.source_embedding(src) * math.sqrt(D) + ours.positions.table[:7]
    written = ours.target_embedding(tgt) * math.sqrt(D) + ours.target_positions.table[:6]
    hidden = nn.Transformer.generate_square_subsequent_mask(6, dtype=torch.float64)
    expected = ours.generator(
        theirs(
            read,
            written,
            tgt_mask=hidden,
            src_key_padding_mask=padding,
            memory_key_padding_mask=padding,
        )
    )
    logits = ours(src, tgt, src_key_padding_mask=padding)
    torch.testing.assert_close(logits, expected)
    tables = [ours.positions.table, ours.target_positions.table]
    for mine, other in zip(
        torch.autograd.grad(logits.square().sum(), tables, retain_graph=True),
        torch.autograd.grad(expected.square().sum(), tables),
        strict=True,
    ):
        assert other.abs().max() > 0
        torch.testing.assert_close(mine, other)


def test_learned_positions_decode_alike_with_and_without_a_cache_and_refuse_what_they_have_not_learned(
    batch,
):
    src, tgt, padding = batch
    torch.manual_seed(0)
    model = Seq2SeqModel(V, V, D, H, 1, 1, F, dropout=0.0, max_positions=8).double().eval()
    memory, cache = model.encode(src, src_key_padding_mask=padding), model.new_cache()
    whole = model(src, tgt, src_key_padding_mask=padding)
    for step in range(6):
        torch.testing.assert_close(
            model.decode_step(tgt[:, step : step + 1], memory, padding, cache), whole[:, step]
        )
    with pytest.raises(ValueError, match="9 positions were asked for, the model has learned 8"):
        model.encode(torch.zeros(1, 9, dtype=torch.long))
