"""The models of the seed text, written from their formulas. Imports torch and nothing else.

One legend of dimension letters for every shape comment in this package:

    B  batch            T  target (query) positions     S  source (key) positions
    D  model width      H  heads                        K  width of one head
    V  vocabulary       F  width of the feed-forward layer

One convention for masks: **True hides** (the position may not be attended to), as in
``torch.nn.Transformer``; a float mask is added to the scores. Padding is on the right.
"""

from torch import nn as _nn

from llm_magics.nn.additive_attention import AdditiveAttention
from llm_magics.nn.attention import MultiHeadAttention, causal_mask, scaled_dot_product
from llm_magics.nn.classifier import TextClassifier
from llm_magics.nn.language_model import (
    CausalLanguageModel,
    MaskedLanguageModel,
    RecurrentLanguageModel,
)
from llm_magics.nn.recurrent import GRU, LSTM, RNN
from llm_magics.nn.recurrent_seq2seq import RecurrentSeq2Seq
from llm_magics.nn.softmax_regression import SoftmaxRegression
from llm_magics.nn.transformer import Seq2SeqModel, TransformerDecoder, TransformerEncoder

__all__ = [
    "ARCHITECTURES",
    "GRU",
    "LSTM",
    "RNN",
    "AdditiveAttention",
    "CausalLanguageModel",
    "MaskedLanguageModel",
    "MultiHeadAttention",
    "RecurrentLanguageModel",
    "RecurrentSeq2Seq",
    "Seq2SeqModel",
    "SoftmaxRegression",
    "TextClassifier",
    "TransformerDecoder",
    "TransformerEncoder",
    "causal_mask",
    "scaled_dot_product",
]

ARCHITECTURES: dict[str, type[_nn.Module]] = {
    cls.__name__: cls
    for cls in (
        Seq2SeqModel,
        RecurrentSeq2Seq,
        CausalLanguageModel,
        RecurrentLanguageModel,
        MaskedLanguageModel,
        TextClassifier,
    )
}
"""The complete models by the names that a house model's config.json has for them."""
