"""Attention: capture it from any model without slowing it, keep it small, and compute a map when it
is looked at.

masks, packed → layer → recorder → interface → capture    from a forward pass to what every layer was given
pooling → store                                           from that to maps, tiles and thumbnails
tokens → explore, generated, predict                      from a text to a store, or to what the model says of it
measures                                                  a number for every head
"""  # noqa: E501  a table or a pattern

from llm_magics.attention.capture import capture, silence
from llm_magics.attention.explore import CrossAttention, check_text, cross_attention, explore
from llm_magics.attention.generated import generated
from llm_magics.attention.predict import Prediction, predict
from llm_magics.attention.store import AttentionStore, Neuron, Panel

__all__ = [
    "AttentionStore",
    "CrossAttention",
    "Neuron",
    "Panel",
    "Prediction",
    "capture",
    "check_text",
    "cross_attention",
    "explore",
    "generated",
    "predict",
    "silence",
]
