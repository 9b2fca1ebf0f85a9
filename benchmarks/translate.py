"""Sentences a second of our batched translation against transformers' `generate` and CTranslate2,
on the same model.

    python benchmarks/translate.py [--sentences 256] [--rounds 3] [--one-by-one-rounds 1]
    [--beam-sentences 48]

The model is a random-initialised Marian of opus-mt size (6 + 6 layers, width 512). Every way reads
the same sentences of 5 to 60 words, and each sentence writes exactly as many tokens as it reads
(its end is forbidden, its length limited):

    one by one          generate() for each sentence: what a notebook does
    fixed batches       generate() on batches of 16 in the order given; it writes until the longest is done, the rest is cut
    bucketed batches    generate() on the batches that llm_magics makes: of similar length, 2,048 tokens each
    ctranslate2, int8   CTranslate2 on the converted model (where it is installed), in the same batches. It has one length
                        for a batch: the mean of what its sentences write, so that it writes as many
                        tokens as the others
    llm_magics, int8    one call of llm_magics.models.generate.generate.generate; a sentence that is done leaves its batch
    … with on_text      the same with texts streamed

With `--beam-sentences` the same ways in batches search with four beams; since a beam search that is
cut is another one, all sentences of a batch write as many tokens as its longest reads. `generate`
and llm_magics in float32 must write the same tokens, or the benchmark fails. A random model in
other arithmetic writes others; what that costs a trained one is measured by
benchmarks/precision.py. Ways are interleaved in every round; printed are medians of CPU seconds.
"""

from __future__ import annotations

import argparse
import copy
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from translate_model import EOS, build, converted, some_sentences

import llm_magics
from llm_magics.models.folder.precision import quantise
from llm_magics.models.generate.batches import bucketed
from llm_magics.models.generate.generate import generate
from llm_magics.models.manager.manager import ModelManager

BUDGET, FORBIDDEN = 2048, {"suppress_tokens": [EOS]}
Way = Callable[[], list[tuple]]


@torch.no_grad()
def with_generate(
    model, tokenizer, sentences: list[str], limits: list[int], groups: Sequence, beams: int = 1
) -> list[tuple]:
    results: dict[int, tuple] = {}
    for rows in groups:
        batch, most = (
            tokenizer([sentences[i] for i in rows], return_tensors="pt", padding=True),
            max(limits[i] for i in rows),
        )
        output = model.generate(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            do_sample=False,
            num_beams=beams,
            max_new_tokens=most,
            **FORBIDDEN,
        )
        results |= {
            i: tuple(row[1 : limits[i] + 1]) for i, row in zip(rows, output.tolist(), strict=True)
        }
    return [results[i] for i in range(len(sentences))]


def with_ours(
    loaded, sentences: list[str], limits: list[int], beams: int = 1, on_text=None
) -> list[tuple]:
    done = generate(
        loaded,
        sentences,
        max_new_tokens=limits,
        num_beams=beams,
        token_budget=BUDGET,
        extra=FORBIDDEN,
        on_text=on_text,
    )
    return [one.token_ids for one in done]


def with_ctranslate2(
    translator, read: list[list[str]], limits: list[int], groups: Sequence, beams: int = 1
) -> list[tuple]:
    results: dict[int, tuple] = {}
    for rows in groups:
        length = round(statistics.mean(limits[i] for i in rows))
        output = translator.translate_batch(
            [read[i] for i in rows],
            beam_size=beams,
            min_decoding_length=length,
            max_decoding_length=length,
        )
        results |= {i: tuple(one.hypotheses[0]) for i, one in zip(rows, output, strict=True)}
    return [results[i] for i in range(len(read))]


def translators(model, tokenizer, threads: int) -> dict:
    """CTranslate2 by name of its precision; nothing where it is not installed."""
    try:
        import ctranslate2

        folder = converted(model, tokenizer)
    except ImportError:
        print("ctranslate2 is not installed and is left out")
        return {}
    return {
        f"ctranslate2 {form}": ctranslate2.Translator(
            folder, compute_type=form, intra_threads=threads, inter_threads=1
        )
        for form in ("float32", "int8")
    }


def measured(
    ways: dict[str, Way], rounds: int, once: dict[str, int], limits: list[int]
) -> dict[str, list[float]]:
    """CPU seconds of each way in each round; `once` says which ways have fewer rounds. Fails where
    tokens differ."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for round_ in range(rounds):
        outputs = {}
        for name, way in ways.items():
            if round_ >= once.get(name, rounds):
                continue
            began = time.perf_counter(), time.process_time()
            outputs[name] = way()
            seconds[name].append(time.process_time() - began[1])
            print(
                (
                    f"  {name:<24} {time.perf_counter() - began[0]:7.1f} s wall  "
                    f"{seconds[name][-1]:7.1f} s CPU"
                ),
                flush=True,
            )
        for name, output in outputs.items():
            if not name.startswith("ctranslate2"):
                assert [len(row) for row in output] == limits, f"{name} wrote other lengths"
                assert "int8" in name or output == outputs["llm_magics"], (
                    f"{name} wrote other tokens"
                )
    return seconds


def report(seconds: dict[str, list[float]], limits: list[int], threads: int) -> None:
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(
        f"\n{len(limits)} sentences, {sum(limits):,} tokens written, {threads} thread(s), load "
        f"{os.getloadavg()[0]:.1f}; "
        f"{platform.machine()}, torch {torch.__version__}, llm_magics {llm_magics.__version__}"
    )
    print(
        f"{'':<24} {'CPU s':>8} {'rounds':>7} {'sentences/s':>12} {'llm_magics is':>14} "
        f"{'int8 is':>9}"
    )
    for name, median in medians.items():
        print(
            f"{name:<24} {median:8.2f} {len(seconds[name]):7} {len(limits) / median:12.2f} "
            f"{median / medians['llm_magics']:13.2f}× {median / medians['llm_magics int8']:8.2f}×"
        )
    for name in ("llm_magics", "llm_magics int8"):
        if f"{name} on_text" in seconds:
            ratios = [
                with_ / without
                for with_, without in zip(seconds[f"{name} on_text"], seconds[name], strict=True)
            ]
            print(
                f"streaming costs {name} {100 * (statistics.median(ratios) - 1):.1f} % of decoding"
            )
    print("float32 outputs equal, token for token", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sentences", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one-by-one-rounds", type=int, default=1)
    parser.add_argument("--beam-sentences", type=int, default=0)
    parser.add_argument("--only", nargs="+", metavar="WAY", help="these ways, and llm_magics")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model, tokenizer = build()
    manager, small = ModelManager(), copy.deepcopy(model)
    quantise(small)
    manager.add_variable("marian", model, tokenizer)
    manager.add_variable("small", small, tokenizer)
    peers = translators(model, tokenizer, arguments.threads)
    with (
        manager.lease("variable:marian") as loaded,
        manager.lease("variable:small") as loaded_small,
    ):
        if arguments.sentences:
            greedy(arguments, model, tokenizer, peers, loaded, loaded_small)
        if arguments.beam_sentences:
            searching(arguments, model, tokenizer, peers, loaded, loaded_small)


def greedy(arguments, model, tokenizer, peers, loaded, loaded_small) -> None:
    """The table of greedy decoding."""
    sentences = some_sentences(arguments.sentences)
    read = [
        tokenizer.convert_ids_to_tokens(tokenizer(sentence)["input_ids"]) for sentence in sentences
    ]
    limits, order = [len(tokens) for tokens in read], list(range(len(read)))
    fixed, buckets = [order[i : i + 16] for i in order[::16]], bucketed(limits, BUDGET)
    seen: list = []

    def show(*event: object) -> None:
        seen.append(event)

    ways: dict[str, Way] = {
        "one by one": lambda: with_generate(
            model, tokenizer, sentences, limits, [[i] for i in order]
        ),
        "fixed batches": lambda: with_generate(model, tokenizer, sentences, limits, fixed),
        "bucketed batches": lambda: with_generate(model, tokenizer, sentences, limits, buckets),
        **{
            name: lambda peer=peer: with_ctranslate2(peer, read, limits, buckets)
            for name, peer in peers.items()
        },
        "llm_magics": lambda: with_ours(loaded, sentences, limits),
        "llm_magics on_text": lambda: with_ours(loaded, sentences, limits, on_text=show),
        "llm_magics int8": lambda: with_ours(loaded_small, sentences, limits),
        "llm_magics int8 on_text": lambda: with_ours(loaded_small, sentences, limits, on_text=show),
    }
    ways = chosen(ways, arguments.only)
    report(
        measured(ways, arguments.rounds, {"one by one": arguments.one_by_one_rounds}, limits),
        limits,
        arguments.threads,
    )


def chosen(ways: dict[str, Way], only: list[str] | None) -> dict[str, Way]:
    """Those ways of ours, and of the others those that are named."""
    return {
        name: way
        for name, way in ways.items()
        if only is None or name in only or name.startswith("llm_magics")
    }


def searching(arguments, model, tokenizer, peers, loaded, loaded_small, beams: int = 4) -> None:
    """The table of beam search."""
    sentences = some_sentences(arguments.beam_sentences)
    read = [
        tokenizer.convert_ids_to_tokens(tokenizer(sentence)["input_ids"]) for sentence in sentences
    ]
    buckets, limits = bucketed([len(tokens) for tokens in read], BUDGET), [0] * len(read)
    for rows in buckets:
        for i in rows:
            limits[i] = max(len(read[j]) for j in rows)
    ways: dict[str, Way] = {
        "bucketed batches": lambda: with_generate(
            model, tokenizer, sentences, limits, buckets, beams
        ),
        **{
            name: lambda peer=peer: with_ctranslate2(peer, read, limits, buckets, beams)
            for name, peer in peers.items()
        },
        "llm_magics": lambda: with_ours(loaded, sentences, limits, beams),
        "llm_magics int8": lambda: with_ours(loaded_small, sentences, limits, beams),
    }
    ways = chosen(ways, arguments.only)
    print(f"\n{beams} beams")
    report(measured(ways, arguments.rounds, {}, limits), limits, arguments.threads)


if __name__ == "__main__":
    main()
