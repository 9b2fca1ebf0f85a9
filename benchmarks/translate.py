"""Sentences a second of our batched translation against transformers' `generate` and CTranslate2, on the same model.

    python benchmarks/translate.py [--sentences 64] [--rounds 3] [--threads 1]

The model is a random-initialised Marian of opus-mt size (6 + 6 layers, width 512); every way reads the same sentences of
5 to 60 tokens and writes 32 tokens for each, greedily. The ways, interleaved in every round:

    one by one          generate() for each sentence: what a notebook does
    fixed batches       generate() on batches of 16 in the order given
    sorted batches      generate() on batches of 16 of similar length
    ctranslate2, int8   CTranslate2 on the converted model (where it is installed), batches of similar length
    llm_magics, int8    one call of llm_magics.models.generation.generate

`generate` and llm_magics in float32 must write the same tokens, or the benchmark fails. A random model in other
arithmetic writes others; what that costs a trained one is measured by benchmarks/precision.py. Printed are medians.
"""

from __future__ import annotations

import argparse
import copy
import os
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Callable

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import MarianConfig, MarianMTModel, PreTrainedTokenizerFast

import llm_magics
from llm_magics.models.generation import generate
from llm_magics.models.manager import ModelManager
from llm_magics.models.precision import quantise

WORDS, EOS, PAD, WRITTEN = 5_000, 0, 1, 32
Way = Callable[[], list[tuple]]


def build() -> tuple[MarianMTModel, PreTrainedTokenizerFast]:
    """The model and a tokenizer of made-up words."""
    torch.manual_seed(0)
    config = MarianConfig(
        vocab_size=58_101, d_model=512, encoder_layers=6, decoder_layers=6, encoder_attention_heads=8,
        decoder_attention_heads=8, encoder_ffn_dim=2048, decoder_ffn_dim=2048, max_position_embeddings=512,
        pad_token_id=PAD, eos_token_id=EOS, decoder_start_token_id=PAD, forced_eos_token_id=None, init_std=0.05)
    words = Tokenizer(models.WordLevel({"</s>": EOS, "<pad>": PAD, **{f"w{n}": n + 2 for n in range(WORDS)}}, "<pad>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.post_processor = processors.TemplateProcessing("$A </s>", special_tokens=[("</s>", EOS)])
    return MarianMTModel(config).eval(), PreTrainedTokenizerFast(tokenizer_object=words, eos_token="</s>", pad_token="<pad>")


@torch.no_grad()
def with_generate(model, tokenizer, sentences: list[str], size: int, similar: bool = False) -> list[tuple]:
    order = sorted(range(len(sentences)), key=lambda i: len(sentences[i].split())) if similar else range(len(sentences))
    results: dict[int, tuple] = {}
    for start in range(0, len(sentences), size):
        rows = order[start:start + size]
        batch = tokenizer([sentences[i] for i in rows], return_tensors="pt", padding=True)
        output = model.generate(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], do_sample=False,
                                num_beams=1, min_new_tokens=WRITTEN, max_new_tokens=WRITTEN)
        results |= dict(zip(rows, (tuple(row[1:]) for row in output.tolist()), strict=True))
    return [results[i] for i in range(len(sentences))]


def with_ours(loaded, sentences: list[str]) -> list[tuple]:
    return [done.token_ids for done in generate(loaded, sentences, min_new_tokens=WRITTEN, max_new_tokens=WRITTEN)]


def ctranslate2_ways(model, tokenizer, sentences: list[str], threads: int) -> dict[str, Way]:
    """The same model in CTranslate2; nothing where that is not installed."""
    try:
        import ctranslate2
        from ctranslate2.converters.transformers import MarianMTLoader
    except ImportError:
        print("ctranslate2 is not installed and is left out")
        return {}

    class MadeUpWords(MarianMTLoader):
        """The converter reads Marian's own vocabularies; ours is a list of words."""

        def get_vocabulary(self, model, tokenizer):
            tokens = [token for token, _ in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])]
            return [*tokens, *(f"unused{n}" for n in range(model.config.vocab_size - len(tokens)))]

        def set_config(self, config, model, tokenizer):
            config.eos_token, config.unk_token, config.decoder_start_token = "</s>", "<pad>", "<pad>"
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
    read = [tokenizer.convert_ids_to_tokens(tokenizer(sentence)["input_ids"]) for sentence in sentences]

    def way(form: str) -> Way:
        translator = ctranslate2.Translator(folder, compute_type=form, intra_threads=threads, inter_threads=1)
        return lambda: [tuple(result.hypotheses[0]) for result in translator.translate_batch(
            read, beam_size=1, max_batch_size=2048, batch_type="tokens", min_decoding_length=WRITTEN,
            max_decoding_length=WRITTEN)]

    return {f"ctranslate2 {form}": way(form) for form in ("float32", "int8")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sentences", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model, tokenizer = build()
    rng = random.Random(0)
    sentences = [" ".join(f"w{rng.randrange(WORDS)}" for _ in range(rng.randint(5, 60)))
                 for _ in range(arguments.sentences)]
    manager, small = ModelManager(), copy.deepcopy(model)
    quantise(small)
    manager.add_variable("marian", model, tokenizer)
    manager.add_variable("small", small, tokenizer)
    with manager.lease("variable:marian") as loaded, manager.lease("variable:small") as loaded_small:
        ways: dict[str, Way] = {
            "one by one": lambda: with_generate(model, tokenizer, sentences, 1),
            "fixed batches": lambda: with_generate(model, tokenizer, sentences, 16),
            "sorted batches": lambda: with_generate(model, tokenizer, sentences, 16, similar=True),
            **ctranslate2_ways(model, tokenizer, sentences, arguments.threads),
            "llm_magics": lambda: with_ours(loaded, sentences),
            "llm_magics int8": lambda: with_ours(loaded_small, sentences),
        }
        report(measured(ways, arguments.rounds), arguments)


def measured(ways: dict[str, Way], rounds: int) -> dict[str, list[float]]:
    """CPU seconds of each way in each round."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        outputs = {}
        for name, way in ways.items():
            began = time.perf_counter(), time.process_time()
            outputs[name] = way()
            seconds[name].append(time.process_time() - began[1])
            print(f"  {name:<20} {time.perf_counter() - began[0]:7.1f} s wall  {seconds[name][-1]:7.1f} s CPU", flush=True)
        same = [outputs[name] for name in ("one by one", "fixed batches", "sorted batches", "llm_magics")]
        assert all(output == same[0] for output in same), "outputs differ"
        assert all(len(row) == WRITTEN for rows in outputs.values() for row in rows), "not as many tokens as asked for"
    return seconds


def report(seconds: dict[str, list[float]], arguments: argparse.Namespace) -> None:
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"\n{arguments.sentences} sentences, {arguments.sentences * WRITTEN:,} tokens written, "
          f"{arguments.threads} thread(s), {arguments.rounds} rounds; "
          f"{platform.machine()}, torch {torch.__version__}, llm_magics {llm_magics.__version__}")
    print(f"{'':<20} {'CPU s':>8} {'sentences/s':>12} {'llm_magics is':>14} {'int8 is':>9}")
    for name, median in medians.items():
        print(f"{name:<20} {median:8.1f} {arguments.sentences / median:12.2f} {median / medians['llm_magics']:13.2f}× "
              f"{median / medians['llm_magics int8']:8.2f}×")
    print("float32 outputs equal, token for token")


if __name__ == "__main__":
    main()
