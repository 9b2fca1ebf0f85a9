"""Maps and models that are known by construction."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from llm_magics.attention.layer import MapLayer
from llm_magics.attention.store import AttentionStore, Panel

WORDS = ["the", "cat", "sat", "on", "a", "mat", "[SEP]", "dog", "ran", "to", "my", "house"]


@pytest.fixture
def store_of():
    """store_of(maps (L, H, T, S), tokens, kind) -> a store of just these maps."""

    def build(maps, tokens=None, kind="self", rows=None):
        columns = tokens or [f"t{number}" for number in range(maps.shape[-1])]
        layers = [MapLayer(torch.as_tensor(layer, dtype=torch.float32)) for layer in maps]
        return AttentionStore("made up", [Panel(kind, layers, rows or columns, columns)])

    return build


@pytest.fixture
def random_maps():
    """random_maps(layers, heads, tokens, causal) -> (L, H, T, T) float64, rows sum to 1."""

    def draw(layers, heads, tokens, causal=False, seed=0):
        scores = (
            2
            * torch.randn(
                layers, heads, tokens, tokens, generator=torch.Generator().manual_seed(seed)
            ).double()
        )
        if causal:
            scores = scores.masked_fill(torch.ones(tokens, tokens).triu(1).bool(), -torch.inf)
        return scores.softmax(-1)

    return draw


class WordTokenizer:
    """One token a word, as a transformers tokenizer answers; words are ids 5 and up, [MASK] is
    3."""

    mask_token_id, bos_token_id, all_special_ids = 3, None, [0, 1, 2, 3, 4]
    special = ("[PAD]", "[CLS]", "[EOS]", "[MASK]", "[UNK]")

    def __init__(self, marks=()):
        self.marks = marks

    def __len__(self):
        return 100

    def __call__(self, text="", text_target=None, add_special_tokens=True):
        ids = [
            self.special.index(word) if word in self.special else 5 + WORDS.index(word)
            for word in (text_target or text).split()
        ]
        if add_special_tokens and self.marks:
            ids = [self.marks[0], *ids, *self.marks[1:]]
        return {"input_ids": ids}

    def convert_ids_to_tokens(self, ids):
        return [
            self.special[i] if i < 5 else WORDS[i - 5] if i - 5 < len(WORDS) else f"<{i}>"
            for i in ids
        ]


SMALL = {"vocab_size": 100}
BERT = {
    **SMALL,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
}
CONFIGS = {
    "bert": BERT,
    "gpt2": {**SMALL, "n_embd": 32, "n_layer": 2, "n_head": 4},
    "llama": {**BERT, "num_key_value_heads": 2},
    "gpt_neox": BERT,
    "gemma2": {**BERT, "num_key_value_heads": 2, "head_dim": 8},
    "bart": {
        **SMALL,
        "d_model": 32,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 64,
        "decoder_ffn_dim": 64,
        "pad_token_id": 0,
        "decoder_start_token_id": 2,
        "eos_token_id": 2,
        "bos_token_id": 1,
    },
}


@pytest.fixture
def tiny():
    """tiny("gpt2", "AutoModelForCausalLM", "causal") -> a small random model as the manager would
    give it."""

    def build(family, auto, kind, scale=3.0, **settings):
        import transformers

        torch.manual_seed(0)
        config = transformers.CONFIG_MAPPING[family](**CONFIGS[family], **settings)
        module = getattr(transformers, auto).from_config(config).eval()
        with torch.no_grad():
            for parameter in (
                module.parameters()
            ):  # untrained weights are so small that every head looks everywhere alike
                parameter.mul_(scale) if parameter.dim() > 1 else parameter.add_(
                    0.1 * torch.randn_like(parameter)
                )
        marks = (1, 2) if kind == "encoder" else ()
        return SimpleNamespace(
            module=module, tokenizer=WordTokenizer(marks), kind=kind, reference=family
        )

    return build


@pytest.fixture
def own():
    """own() -> a small random language model of `nn` with its tokenizer."""

    def build(**settings):
        from llm_magics.models.folder.native_tokenizer import NativeTokenizer
        from llm_magics.nn import CausalLanguageModel
        from llm_magics.training.data.tokenizer import train_tokenizer
        from llm_magics.training.recipe.recipe import Tokenizer

        torch.manual_seed(0)
        tokenizer = train_tokenizer(
            ["abcdefghijklmnopqrstuvwxyz0123456789 "], Tokenizer(kind="char", vocab_size=60)
        )
        module = CausalLanguageModel(60, 32, 4, 2, 64, dropout=0.0, **settings).eval()
        return SimpleNamespace(
            module=module,
            tokenizer=NativeTokenizer(tokenizer, tokenizer),
            kind="causal",
            reference="own",
        )

    return build


class Circuit(torch.nn.Module):
    """An induction circuit with its weights written by hand.

    The residual stream holds one-hot (token, position, token before). Layer 0 looks one position
    back and copies the token it finds there into the third part; layer 1 looks for its own token in
    the third part.
    """

    def __init__(self, vocabulary, positions):
        from llm_magics.nn import MultiHeadAttention

        super().__init__()
        self.vocabulary, self.positions = vocabulary, positions
        width, sharp = 2 * vocabulary + positions, 100.0
        self.layers = torch.nn.ModuleList(
            MultiHeadAttention(width, 1, d_k=d_k, d_v=vocabulary) for d_k in (positions, vocabulary)
        )
        for parameter in self.parameters():
            torch.nn.init.zeros_(parameter)
        token, place, before = (
            slice(0, vocabulary),
            slice(vocabulary, vocabulary + positions),
            slice(vocabulary + positions, width),
        )
        back, look = self.layers
        back.query.weight[:, place] = sharp * torch.ones(positions - 1).diag(
            1
        )  # position p asks for p - 1
        back.key.weight[:, place] = torch.eye(positions)
        back.value.weight[:, token] = torch.eye(vocabulary)
        back.output.weight[before] = torch.eye(vocabulary)
        look.query.weight[:, token] = sharp * torch.eye(vocabulary)
        look.key.weight[:, before] = torch.eye(vocabulary)

    def forward(self, ids):
        x = torch.cat(
            [
                torch.nn.functional.one_hot(ids, self.vocabulary).float(),
                torch.eye(self.positions)[: ids.shape[1]].expand(len(ids), -1, -1),
                torch.zeros(*ids.shape, self.vocabulary),
            ],
            -1,
        )  # (B, T, 2V + P)
        for layer in self.layers:
            x = x + layer(x, causal=True)
        return x[..., : self.vocabulary]


@pytest.fixture
def circuit(own):
    """The circuit as the manager would give it."""
    model = own()
    with torch.no_grad():
        model.module = Circuit(60, 24).eval()
    return model
