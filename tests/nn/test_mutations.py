"""The tests of this folder notice what would be easy to get wrong: each mutation of the formulas must fail one."""

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
        "recurrent.py", "i, f, g, o = (projected", "f, i, g, o = (projected", "test_recurrent.py"),
    "the output gate is forgotten": (
        "recurrent.py", "return o.sigmoid() * c.tanh(), c", "return c.tanh(), c", "test_recurrent.py"),
    "padding moves the state": (
        "recurrent.py", "torch.where(padding, old, new)", "torch.where(padding, new, new)", "test_recurrent.py"),
    "no division by the root of d_k": (
        "attention.py", " / math.sqrt(query.shape[-1])  # (…, T, S)", "  # (…, T, S)", "test_attention.py"),
    "the mask shows what it should hide": (
        "attention.py", "mask = ~mask  # the kernel", "mask = mask  # the kernel", "test_attention.py"),
    "the causal mask is one off": (
        "attention.py", "device=device).triu(1)", "device=device).triu(2)", "test_attention.py"),
    "embeddings are not scaled": (
        "transformer.py", "embedding(ids) * math.sqrt(self.d_model), start", "embedding(ids), start", "test_transformer.py"),
    "cross-attention looks at the target": (
        "transformer.py", "y, memory_mask, memory, past", "y, None, y, past", "test_transformer.py"),
    "positions start at 0 in every step": (
        "transformer.py", "self._embed(self.target_embedding, tgt, cache.length)", "self._embed(self.target_embedding, tgt)",
        "test_transformer.py"),
    "Adam's mean is not corrected": (
        "optimizers.py", "mean / (1 - beta_1 ** t)", "mean", "test_optimizers.py"),
    "the softmax overflows": (
        "softmax_regression.py", "scores.logsumexp(-1, keepdim=True)", "scores.exp().sum(-1, keepdim=True).log()",
        "test_softmax_and_additive.py"),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutated_formula_fails(name, tmp_path):
    file, old, new, tests = MUTATIONS[name]
    package = tmp_path / "llm_magics"
    package.mkdir()
    for source in ("__init__.py", "errors.py"):
        shutil.copy(ROOT / "llm_magics" / source, package)
    shutil.copytree(ROOT / "llm_magics" / "nn", package / "nn", ignore=shutil.ignore_patterns("__pycache__"))
    text = (package / "nn" / file).read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{file} no longer has {old!r}: bring the mutation up to date"
    (package / "nn" / file).write_text(text.replace(old, new), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--import-mode=importlib",
                           "-c", os.devnull, str(Path(__file__).parent / tests)],
                          cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout[-1500:]
    assert "1 failed" in done.stdout
