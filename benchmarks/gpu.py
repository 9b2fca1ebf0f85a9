"""Tokens a second of a chat-size model that writes for one reader, as a share of what the memory's
bandwidth allows.

    python benchmarks/gpu.py [--size 1.5b] [--tokens 128] [--rounds 3] [--dtype bfloat16]

At batch 1 every token reads all weights once, so that bytes of weights / bandwidth is the least
time a token can take. The bandwidth is measured by copying 1 GB on the same device. The model is a
Qwen2 with random weights; the ways, interleaved:

    generate            transformers' own loop and cache
    generate, static    with a cache of fixed size, where transformers compiles the step (CUDA only)
    llm_magics          the lean loop

In bfloat16 ways may differ where two tokens are almost equally probable; how many of the tokens
agree is printed. Without CUDA it runs on the processor with `--size tiny`, to see that it runs.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from transformers import GenerationConfig, Qwen2Config, Qwen2ForCausalLM

from llm_magics.models.generate.fast.loop import lean_rows

SIZES = {
    "tiny": {
        "hidden_size": 256,
        "intermediate_size": 1024,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
    },
    "0.5b": {
        "hidden_size": 896,
        "intermediate_size": 4864,
        "num_hidden_layers": 24,
        "num_attention_heads": 14,
    },
    "1.5b": {
        "hidden_size": 1536,
        "intermediate_size": 8960,
        "num_hidden_layers": 28,
        "num_attention_heads": 12,
    },
    "7b": {
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
    },
}
PROMPT = 64


def build(size: str, device: str, dtype: torch.dtype) -> Qwen2ForCausalLM:
    torch.manual_seed(0)
    with torch.device(device):
        config = Qwen2Config(
            vocab_size=151_936,
            num_key_value_heads=2,
            tie_word_embeddings=True,
            dtype=dtype,
            **SIZES[size],
        )
        return Qwen2ForCausalLM._from_config(config, dtype=dtype).eval()


def synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def bandwidth(device: str) -> float:
    """Bytes a second, read and written, of a copy."""
    source = torch.empty(2**28, device=device)  # 1 GiB of float32
    target, seconds = torch.empty_like(source), []
    for _ in range(5):
        began = time.perf_counter()
        target.copy_(source)
        synchronize(device)
        seconds.append(time.perf_counter() - began)
    return 2 * source.numel() * source.element_size() / min(seconds)


def settings(tokens: int, **more: object) -> GenerationConfig:
    return GenerationConfig(
        max_new_tokens=tokens, do_sample=False, num_beams=1, pad_token_id=0, **more
    )


def ways(model: Qwen2ForCausalLM, device: str, tokens: int) -> dict:
    inputs = torch.randint(
        1, 10_000, (1, PROMPT), device=device, generator=torch.Generator(device).manual_seed(1)
    )
    mask = torch.ones_like(inputs)

    def with_generate(**more: object) -> list[int]:
        return model.generate(
            inputs, attention_mask=mask, generation_config=settings(tokens, **more)
        )[0, PROMPT:].tolist()

    def lean() -> list[int]:
        rows = lean_rows(model, settings(tokens), inputs, mask, [tokens], lambda rows: False)
        assert rows is not None, "the lean loop does not serve this model"
        return rows[0]

    found = {"generate": with_generate, "llm_magics": lean}
    if device == "cuda":
        found["generate, static"] = lambda: with_generate(cache_implementation="static")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=tuple(SIZES), default="1.5b")
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    arguments = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = build(arguments.size, device, getattr(torch, arguments.dtype))
    n_bytes = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    limit = bandwidth(device) / n_bytes
    seconds, written = {}, {}
    for round_ in range(arguments.rounds + 1):  # the first one compiles and warms up
        for name, way in ways(model, device, arguments.tokens).items():
            synchronize(device)
            began = time.perf_counter()
            written[name] = way()
            synchronize(device)
            if round_:
                seconds.setdefault(name, []).append(time.perf_counter() - began)
    report(arguments, device, limit, seconds, written)


def report(
    arguments: argparse.Namespace, device: str, limit: float, seconds: dict, written: dict
) -> None:
    where = torch.cuda.get_device_name() if device == "cuda" else "the processor"
    print(
        f"{arguments.size}, {arguments.dtype}, {where}, torch {torch.__version__}; the "
        "bandwidth "
        f"allows {limit:.0f} tokens/s"
    )
    for name, values in seconds.items():
        rate = arguments.tokens / statistics.median(values)
        same = (
            sum(a == b for a, b in zip(written[name], written["generate"], strict=True))
            / arguments.tokens
        )
        print(
            f"{name:<18} {rate:8.1f} tokens/s  {rate / limit:6.1%} of the limit  {same:6.1%} "
            "of "
            "generate's tokens"
        )


if __name__ == "__main__":
    main()
