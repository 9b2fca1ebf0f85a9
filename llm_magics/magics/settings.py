"""What a user sets once for a notebook or for good: `%config LLM.target_language = "fr"`.

The same names work in `ipython_config.py`: `c.LLM.translate_model = "Helsinki-NLP/opus-mt-en-fr"`.
"""

from __future__ import annotations

from traitlets import Unicode
from traitlets.config import Configurable

__all__ = ["LLM", "settings_of"]


class LLM(Configurable):
    """Settings of llm_magics."""

    translate_model = Unicode("", help="Model of %%translate when --model is not given; empty: chosen by language."
                              ).tag(config=True)
    summarize_model = Unicode("", help="Model of %%summarize when --model is not given; empty: chosen by language."
                              ).tag(config=True)
    target_language = Unicode("", help="Language of %%translate when --to is not given.").tag(config=True)


def settings_of(shell: object) -> LLM:
    """The settings of the extension as loaded in `shell`; the defaults when it is not."""
    found = [item for item in getattr(shell, "configurables", []) if isinstance(item, LLM)]
    return found[0] if found else LLM()
