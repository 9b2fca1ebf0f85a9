"""The model, the sentences and the converted model that benchmarks/translate.py and
translate_memory.py measure with."""

from __future__ import annotations

import copy
import random
import tempfile

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import MarianConfig, MarianMTModel, PreTrainedTokenizerFast

WORDS, EOS, PAD = 5_000, 0, 1


def some_sentences(count: int) -> list[str]:
    """Sentences of 5 to 60 made-up words."""
    rng = random.Random(0)
    return [
        " ".join(f"w{rng.randrange(WORDS)}" for _ in range(rng.randint(5, 60)))
        for _ in range(count)
    ]


def build() -> tuple[MarianMTModel, PreTrainedTokenizerFast]:
    """The model and a tokenizer of made-up words."""
    torch.manual_seed(0)
    config = MarianConfig(
        vocab_size=58_101,
        d_model=512,
        encoder_layers=6,
        decoder_layers=6,
        encoder_attention_heads=8,
        decoder_attention_heads=8,
        encoder_ffn_dim=2048,
        decoder_ffn_dim=2048,
        max_position_embeddings=512,
        pad_token_id=PAD,
        eos_token_id=EOS,
        decoder_start_token_id=PAD,
        forced_eos_token_id=None,
        init_std=0.05,
    )
    words = Tokenizer(
        models.WordLevel(
            {"</s>": EOS, "<pad>": PAD, **{f"w{n}": n + 2 for n in range(WORDS)}}, "<pad>"
        )
    )
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.post_processor = processors.TemplateProcessing("$A </s>", special_tokens=[("</s>", EOS)])
    return MarianMTModel(config).eval(), PreTrainedTokenizerFast(
        tokenizer_object=words, eos_token="</s>", pad_token="<pad>"
    )


def converted(model: MarianMTModel, tokenizer: PreTrainedTokenizerFast) -> str:
    """The folder of the model in CTranslate2's format; raises ImportError where that is not
    installed."""
    from ctranslate2.converters.transformers import MarianMTLoader

    class MadeUpWords(MarianMTLoader):
        """The converter reads Marian's own vocabularies; ours is a list of words."""

        def get_vocabulary(self, model, tokenizer):
            tokens = [
                token
                for token, _ in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
            ]
            return [*tokens, *(f"unused{n}" for n in range(model.config.vocab_size - len(tokens)))]

        def set_config(self, config, model, tokenizer):
            config.eos_token, config.unk_token, config.decoder_start_token = (
                "</s>",
                "<pad>",
                "<pad>",
            )
            config.add_source_eos = False

        def get_model_spec(self, model):
            model.config.normalize_before, model.config.normalize_embedding = False, False
            return super(MarianMTLoader, self).get_model_spec(model)

        def set_decoder(self, spec, module):
            module.is_decoder = True
            super().set_decoder(spec, module)

    spec = MadeUpWords().get_model_spec(copy.deepcopy(model))
    vocabulary = MadeUpWords().get_vocabulary(model, tokenizer)
    spec.register_source_vocabulary(vocabulary)
    spec.register_target_vocabulary(vocabulary)
    MadeUpWords().set_config(spec.config, model, tokenizer)
    spec.validate()
    spec.optimize()
    folder = tempfile.mkdtemp(prefix="llm_magics-benchmark-")
    spec.save(folder)
    return folder
