"""A step of our training loop against a bare PyTorch loop and transformers' Trainer; same model,
same batches.

    python benchmarks/train.py [--steps 40] [--rounds 5] [--threads 1] [--device cpu]
    python benchmarks/train.py --memory          peak memory instead of time, each way in a process of its own

The model is a Transformer translator (4 + 4 layers, width 128, 6,000 tokens), the batches hold
about 1,800 target tokens of random lengths, the optimizer is torch's fused AdamW, gradients are
clipped. Interleaved in every round:

    bare loop         tensors that lie ready; forward, cross_entropy of the logits, backward, clip, step
    bare, our loss    the same with `nn.cross_entropy.linear_cross_entropy`, which is ours: what the loop itself costs
    Trainer           transformers.Trainer on the same tensors (one batch a row, no collation), loss as in the bare loop
    llm_magics        `training.run.loop.train`, all of it: batches, layer statistics, events

All four begin with the same weights and see the same batches; dropout is off, and the losses must
agree to 1e-3, or the benchmark fails. Printed are medians of the seconds a step and ratios of
medians.
"""

from __future__ import annotations

import argparse
import copy
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
import torch.nn.functional as F

from llm_magics.nn.cross_entropy import linear_cross_entropy
from llm_magics.training.recipe.recipe import recipe_from_dict
from llm_magics.training.run.events import StepDone
from llm_magics.training.run.loop import train
from llm_magics.training.run.setup import Given, Setup, prepare
from llm_magics.training.runs.runs import create_run

WAYS = ("bare loop", "bare, our loss", "Trainer", "llm_magics")
RATE, CLIP = 1e-3, 1.0


def rows(count: int) -> list[tuple[str, str]]:
    """Made-up sentence pairs of 4 to 30 words out of 5,000."""
    rng = random.Random(0)
    words = [f"w{n}" for n in range(5_000)]
    return [
        tuple(" ".join(rng.choices(words, k=rng.randint(4, 30))) for _ in range(2))
        for _ in range(count)
    ]


def make_run(root: Path, steps: int):
    """A run of our loop, and what it needs beside its files."""
    recipe = recipe_from_dict(
        {
            "name": "benchmark",
            "data": {"source": "notebook", "validation_share": 0.0},
            "cleaning": {"deduplicate": False},
            "tokenizer": {"kind": "word", "vocab_size": 6_000, "min_frequency": 1},
            "model": {
                "d_model": 128,
                "nhead": 4,
                "num_encoder_layers": 4,
                "num_decoder_layers": 4,
                "dim_feedforward": 256,
                "dropout": 0.0,
            },
            "optimizer": {"lr": RATE, "clip_norm": CLIP},
            "schedule": {"kind": "constant", "warmup_steps": 1, "max_steps": steps},
            "batch": {"tokens": 2_000},
            "compute": {"precision": "float32"},
            "evaluation": {"every_steps": 10**9, "rows": 0},
        }
    )
    data = [{"source": s, "target": t} for s, t in rows(3_000)]
    return create_run(root, recipe), Given(data={"train": data})


class WithLoss(torch.nn.Module):
    """The model as Trainer wants it: keyword arguments in, a loss out."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, sources=None, inputs=None, targets=None, padding=None):
        return {"loss": plain_loss(self.model, sources, inputs, targets, padding)}


def plain_loss(model, sources, inputs, targets, padding):
    """What one would write: the logits, and their mean cross-entropy."""
    logits = model(sources, inputs, src_key_padding_mask=padding)
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=0)


def our_loss(model, sources, inputs, targets, padding):
    """The same number by our loss."""
    features = model.features(sources, inputs, src_key_padding_mask=padding)
    kept = targets != 0
    return (
        linear_cross_entropy(
            features[kept], model.generator.weight, model.generator.bias, targets[kept]
        )
        / kept.sum()
    )


def bare(model, batches, loss_of) -> tuple[list[float], list[float]]:
    """Seconds and losses of each step."""
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=RATE, betas=(0.9, 0.98), weight_decay=0.0, fused=True
    )
    model.train()
    seconds, losses = [], []
    for batch in batches:
        before = time.perf_counter()
        loss = loss_of(model, *batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        losses.append(loss.item())
        seconds.append(time.perf_counter() - before)
    return seconds, losses


def by_trainer(model, batches, root: Path, device: str) -> tuple[list[float], list[float]]:
    """Seconds and losses of each step of transformers' Trainer."""
    from transformers import Trainer, TrainerCallback, TrainingArguments

    losses, marks = [], []

    class Watch(TrainerCallback):
        def on_step_end(self, *args, **kwargs):
            marks.append(time.perf_counter())

        def on_train_begin(self, *args, **kwargs):
            marks.append(time.perf_counter())

        def on_log(self, arguments, state, control, logs=None, **kwargs):
            if "loss" in logs:
                losses.append(logs["loss"])

    arguments = TrainingArguments(
        str(root / "trainer"),
        per_device_train_batch_size=1,
        max_steps=len(batches),
        learning_rate=RATE,
        adam_beta1=0.9,
        adam_beta2=0.98,
        lr_scheduler_type="constant",
        max_grad_norm=CLIP,
        optim="adamw_torch_fused",
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
        logging_steps=1,
        use_cpu=device == "cpu",
        train_sampling_strategy="sequential",
    )
    items = [
        dict(zip(("sources", "inputs", "targets", "padding"), batch, strict=True))
        for batch in batches
    ]
    trainer = Trainer(
        WithLoss(model),
        arguments,
        train_dataset=items,
        data_collator=lambda rows: rows[0],
        callbacks=[Watch()],
    )
    trainer.remove_callback(
        next(c for c in trainer.callback_handler.callbacks if "Printer" in type(c).__name__)
    )
    trainer.train()
    return [after - before for before, after in pairwise(marks)], losses


def ours(run, given, steps: int, device: str) -> tuple[list[float], list[float]]:
    """Seconds and losses of each step of our loop, events and all."""
    seconds, losses, before = [], [], None
    for event in train(run, given=given, device=device):
        if isinstance(event, StepDone):
            if before is not None:
                seconds.append(event.seconds - before)
            before = event.seconds
            losses.append(event.loss)
            if event.step == steps:
                break
    return seconds, losses


def inputs(setup: Setup, steps: int) -> list:
    """The tensors of the first steps, in the order in which our loop takes them."""
    made, epoch = [], 0
    while len(made) < steps:
        made += [setup.objective.tensors(batch) for batch in setup.objective.batches(epoch)]
        epoch += 1
    return made[:steps]


def one_way(way: str, root: Path, steps: int, device: str) -> tuple[list[float], list[float]]:
    run, given = make_run(root, steps)
    if way == "llm_magics":
        return ours(run, given, steps, device)
    setup = prepare(run, device, given)
    model, batches = copy.deepcopy(setup.model), inputs(setup, steps)
    if way == "Trainer":
        return by_trainer(model, batches, root, device)
    return bare(model, batches, our_loss if way == "bare, our loss" else plain_loss)


def peak_memory(steps: int) -> dict[str, float]:
    """Peak resident memory in MiB of each way, in a process of its own, less that of a process that
    only prepares."""
    found = {}
    for way in ("nothing", *WAYS):
        done = subprocess.run(
            [sys.executable, __file__, "--only", way, "--steps", str(steps)],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        found[way] = float(done.stdout.split()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.only:
        with tempfile.TemporaryDirectory() as folder:
            if arguments.only == "nothing":
                setup = prepare(*make_run(Path(folder), 1)[:1], "cpu", make_run(Path(folder), 1)[1])
                inputs(setup, arguments.steps)
            else:
                one_way(arguments.only, Path(folder), arguments.steps, "cpu")
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, {arguments.threads} threads, torch "
        f"{torch.__version__}, "
        f"{arguments.device}"
    )
    if arguments.memory:
        found = peak_memory(arguments.steps)
        for way, mib in found.items():
            print(f"{way:16} {mib:8.0f} MiB   {mib / found['bare loop']:.3f} of the bare loop")
        return
    seconds = {way: [] for way in WAYS}
    losses = {}
    for number in range(arguments.rounds):
        order = list(WAYS)
        random.Random(number).shuffle(order)
        for way in order:
            with tempfile.TemporaryDirectory() as folder:
                taken, losses[way] = one_way(way, Path(folder), arguments.steps, arguments.device)
            seconds[way].append(statistics.median(taken[3:]))
    for way in WAYS:
        apart = max(abs(a - b) for a, b in zip(losses[way], losses["bare loop"], strict=False))
        assert apart < 1e-3, f"{way}: the losses differ by {apart}"
    medians = {way: statistics.median(values) for way, values in seconds.items()}
    for way, median in medians.items():
        print(
            f"{way:16} {1000 * median:8.1f} ms a step   llm_magics takes "
            f"{medians['llm_magics'] / median:.3f} of it"
        )


if __name__ == "__main__":
    main()
