"""The models of the seed text, written from their formulas. Imports torch and nothing else.

One legend of dimension letters for every shape comment in this package:

    B  batch            T  target (query) positions     S  source (key) positions
    D  model width      H  heads                        K  width of one head
    V  vocabulary       F  width of the feed-forward layer

One convention for masks: **True hides** (the position may not be attended to), as in ``torch.nn.Transformer``;
a float mask is added to the scores. Padding is on the right.
"""

from llm_magics.nn.additive_attention import AdditiveAttention
from llm_magics.nn.attention import MultiHeadAttention, causal_mask, scaled_dot_product
from llm_magics.nn.language_model import CausalLanguageModel, MaskedLanguageModel
from llm_magics.nn.recurrent import GRU, LSTM, RNN
from llm_magics.nn.softmax_regression import SoftmaxRegression
from llm_magics.nn.transformer import Seq2SeqModel, TransformerDecoder, TransformerEncoder

__all__ = [
    "GRU", "LSTM", "RNN", "AdditiveAttention", "CausalLanguageModel", "MaskedLanguageModel", "MultiHeadAttention",
    "Seq2SeqModel", "SoftmaxRegression",
    "TransformerDecoder", "TransformerEncoder", "causal_mask", "scaled_dot_product",
]
