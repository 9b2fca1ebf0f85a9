"""Sentences a second of our batched translation against transformers' `generate`, on the same model.

    python benchmarks/translate.py [--sentences 128] [--rounds 3] [--threads 1]

The model is a random-initialised Marian of opus-mt size (6 + 6 layers, width 512); it is made to write as many
tokens as it reads, so that lengths are like those of real translations. Three ways, interleaved in every round:

    one by one       generate() for each sentence: what a notebook does
    fixed batches    generate() on batches of 16 in the order given
    llm_magics       one call of llm_magics.models.generation.generate: length-bucketed token-budget batches

All three must write the same tokens, or the benchmark fails. Printed are medians and ratios of medians.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import time

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import MarianConfig, MarianMTModel, PreTrainedTokenizerFast

import llm_magics
from llm_magics.models.generation import generate
from llm_magics.models.manager import ModelManager

WORDS, EOS, PAD = 5_000, 0, 1


class SameLength(MarianMTModel):
    """Marian that ends a sentence after as many tokens as the source has."""

    def forward(self, *args, attention_mask=None, past_key_values=None, **kwargs):
        past = past_key_values.get_seq_length() if past_key_values is not None else 0
        out = super().forward(*args, attention_mask=attention_mask, past_key_values=past_key_values, **kwargs)
        ends = attention_mask.sum(-1) <= past + out.logits.shape[1]  # (B,)
        out.logits[:, -1, EOS] = torch.where(ends, 1e4, -1e4)
        return out


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
    return SameLength(config).eval(), PreTrainedTokenizerFast(tokenizer_object=words, eos_token="</s>", pad_token="<pad>")


def written(rows: torch.Tensor) -> list[tuple[int, ...]]:
    return [tuple(token for token in row if token not in (EOS, PAD)) for row in rows.tolist()]


@torch.no_grad()
def with_generate(model, tokenizer, sentences: list[str], size: int) -> list[tuple[int, ...]]:
    results = []
    for start in range(0, len(sentences), size):
        batch = tokenizer(sentences[start:start + size], return_tensors="pt", padding=True)
        results += written(model.generate(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"],
                                          do_sample=False, num_beams=1, max_new_tokens=200))
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sentences", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model, tokenizer = build()
    rng = random.Random(0)
    sentences = [" ".join(f"w{rng.randrange(WORDS)}" for _ in range(rng.randint(5, 60)))
                 for _ in range(arguments.sentences)]
    manager = ModelManager()
    manager.add_variable("marian", model, tokenizer)
    with manager.lease("marian") as loaded:
        ways = {
            "one by one": lambda: with_generate(model, tokenizer, sentences, 1),
            "fixed batches": lambda: with_generate(model, tokenizer, sentences, 16),
            "llm_magics": lambda: [done.token_ids for done in generate(loaded, sentences, max_new_tokens=200)],
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(arguments.rounds):
            outputs = {}
            for name, way in ways.items():
                began = time.perf_counter(), time.process_time()
                outputs[name] = [tuple(row) for row in way()]
                seconds[name].append(time.process_time() - began[1])
                print(f"  {name:<14} {time.perf_counter() - began[0]:7.1f} s wall  {seconds[name][-1]:7.1f} s CPU", flush=True)
            assert outputs["one by one"] == outputs["fixed batches"] == outputs["llm_magics"], "outputs differ"
    report(seconds, arguments, sum(map(len, outputs["llm_magics"])))


def report(seconds: dict[str, list[float]], arguments: argparse.Namespace, tokens: int) -> None:
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"\n{arguments.sentences} sentences, {tokens:,} tokens written, {arguments.threads} thread(s), "
          f"{arguments.rounds} rounds; {platform.machine()}, torch {torch.__version__}, llm_magics {llm_magics.__version__}")
    print(f"{'':<14} {'CPU s':>8} {'sentences/s':>12} {'llm_magics is':>14}")
    for name, median in medians.items():
        print(f"{name:<14} {median:8.1f} {arguments.sentences / median:12.2f} {median / medians['llm_magics']:13.2f}×")
    print("outputs equal, token for token")


if __name__ == "__main__":
    main()
