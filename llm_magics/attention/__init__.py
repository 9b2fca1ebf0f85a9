"""Attention: capture it from any model without slowing it, keep it small, and compute a map when it is looked at."""

from llm_magics.attention.capture import capture
from llm_magics.attention.explore import CrossAttention, check_text, cross_attention, explore
from llm_magics.attention.store import AttentionStore, Panel

__all__ = ["AttentionStore", "CrossAttention", "Panel", "capture", "check_text", "cross_attention", "explore"]
