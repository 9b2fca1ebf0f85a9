"""What the panel is told of each layer: also where attention walks past the decoder's own
forward."""

from __future__ import annotations

import pytest
import torch

from llm_magics.nn import RecurrentSeq2Seq
from llm_magics.training.run.layers import LayerWatch


@pytest.mark.parametrize("attention", ["additive", "context", "none"])
def test_the_decoder_of_every_rung_shows_its_activations(attention):
    torch.manual_seed(0)
    model = RecurrentSeq2Seq(20, 20, embedding_size=8, hidden_size=8, attention=attention)
    watch = LayerWatch(model)
    source, target = torch.randint(0, 20, (2, 5)), torch.randint(0, 20, (2, 4))
    with watch.watching():
        features = model.features(source, target)
    features.sum().backward()
    seen = watch.seen(1)
    at = seen.layers.index("decoder.layers.0")
    states = features[
        ..., :8
    ]  # what the decoder's states are at the front of what the generator reads
    assert seen.activation_mean[at] == pytest.approx(states.mean().item(), abs=1e-6)
    assert seen.activation_std[at] == pytest.approx(states.std().item(), rel=1e-5)
    assert seen.gradient_norm[at] > 0


def test_nothing_is_noted_outside_of_a_watched_step():
    model = RecurrentSeq2Seq(20, 20, embedding_size=8, hidden_size=8)
    watch = LayerWatch(model)
    model.features(torch.randint(0, 20, (2, 5)), torch.randint(0, 20, (2, 4)))
    assert set(watch.seen(1).activation_std) == {None}
