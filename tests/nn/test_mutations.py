"""The tests of this folder notice what would be easy to get wrong: each mutation of the formulas
must fail one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MUTATIONS = {
    "the gates i and f are swapped": (
        "recurrent.py",
        "i, f, g, o = torch.addmm",
        "f, i, g, o = torch.addmm",
        "test_recurrent.py",
    ),
    "the output gate is forgotten": (
        "recurrent.py",
        "return o.sigmoid() * c.tanh(), c",
        "return c.tanh(), c",
        "test_recurrent.py",
    ),
    "padding moves the state": (
        "recurrent.py",
        "torch.where(padding[t], old, new)",
        "torch.where(padding[t], new, new)",
        "test_recurrent.py",
    ),
    "attention looks at padding": (
        "additive_attention.py",
        "scores.masked_fill(padding_mask, -math.inf)",
        "scores",
        "test_recurrent_seq2seq.py",
    ),
    "the context is not fed to the decoder": (
        "recurrent_seq2seq.py",
        "torch.addmm(step, context, of_context.T)",
        "step",
        "test_recurrent_seq2seq.py",
    ),
    "the decoder starts from the last column, padding or not": (
        "recurrent_seq2seq.py",
        "forward[:, -1]\n            if length is None\n",
        "forward[:, -1]\n            if True\n",
        "test_recurrent_seq2seq.py",
    ),
    "the backward reading is taken at its beginning": (
        "recurrent_seq2seq.py",
        "part[:, 0] for part in backward",
        "part[:, -1] for part in backward",
        "test_recurrent_seq2seq.py",
    ),
    "attention asks with the lowest layer's state": (
        "recurrent_seq2seq.py",
        "self.attention(cache.states[-1][0]",
        "self.attention(cache.states[0][0]",
        "test_recurrent_seq2seq.py",
    ),
    "a bag of words is not divided by its length": (
        "classifier.py",
        ".sum(1) / length",
        ".sum(1)",
        "test_classifier.py",
    ),
    "a smoothed target is smoothed in the loss, not in the gradient": (
        "cross_entropy.py",
        "counted * (smoothing - 1.0)",
        "counted * -1.0",
        "test_cross_entropy.py",
    ),
    "a recurrent language model forgets its state between steps": (
        "language_model.py",
        "None if cache is None else cache.states)",
        "None)",
        "test_language_model.py",
    ),
    "no division by the root of d_k": (
        "attention.py",
        " / math.sqrt(query.shape[-1])  # (…, T, S)",
        "  # (…, T, S)",
        "test_attention.py",
    ),
    "the mask shows what it should hide": (
        "attention.py",
        "mask = ~mask  # the kernel",
        "mask = mask  # the kernel",
        "test_attention.py",
    ),
    "the causal mask is one off": (
        "attention.py",
        "device=device).triu(1)",
        "device=device).triu(2)",
        "test_attention.py",
    ),
    "embeddings are not scaled": (
        "transformer.py",
        "embedding(ids) * math.sqrt(self.d_model), start",
        "embedding(ids), start",
        "test_transformer.py",
    ),
    "cross-attention looks at the target": (
        "transformer.py",
        "y, memory_mask, memory, past",
        "y, None, y, past",
        "test_transformer.py",
    ),
    "positions start at 0 in every step": (
        "transformer.py",
        "self._embed_target(tgt, cache.length)",
        "self._embed_target(tgt)",
        "test_transformer.py",
    ),
    "Adam's mean is not corrected": (
        "optimizers.py",
        "mean / (1 - beta_1**t)",
        "mean",
        "test_optimizers.py",
    ),
    "the softmax overflows": (
        "softmax_regression.py",
        "scores.logsumexp(-1, keepdim=True)",
        "scores.exp().sum(-1, keepdim=True).log()",
        "test_softmax_and_additive.py",
    ),
}


@pytest.fixture(scope="module")
def server():
    environment = {
        **os.environ,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    with subprocess.Popen(
        [sys.executable, Path(__file__).parent / "fork_server.py"],
        env=environment,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        yield process


def run(server: subprocess.Popen, folder: Path, tests: str) -> tuple[int, str]:
    """The exit status and the output of a test file that imports the llm_magics in `folder`."""
    server.stdin.write(f"{folder}\t{Path(__file__).parent / tests}\n")
    server.stdin.flush()
    status = int(server.stdout.readline())
    return status, (folder / "output.txt").read_text(encoding="utf-8")


def copied(folder: Path) -> Path:
    """A copy of the package, as far as nn needs it; returns its nn."""
    package = folder / "llm_magics"
    package.mkdir()
    for source in ("__init__.py", "errors.py"):
        shutil.copy(ROOT / "llm_magics" / source, package)
    shutil.copytree(
        ROOT / "llm_magics" / "nn", package / "nn", ignore=shutil.ignore_patterns("__pycache__")
    )
    return package / "nn"


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutated_formula_fails(name, tmp_path, server):
    file, old, new, tests = MUTATIONS[name]
    path = copied(tmp_path) / file
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{file} no longer has {old!r}: bring the mutation up to date"
    path.write_text(text.replace(old, new), encoding="utf-8")
    status, output = run(server, tmp_path, tests)
    assert status == 1, output[-1500:]
    assert "1 failed" in output


def test_what_is_not_mutated_passes(tmp_path, server):
    copied(tmp_path)
    status, output = run(server, tmp_path, "test_softmax_and_additive.py")
    assert status == 0, output[-1500:]
