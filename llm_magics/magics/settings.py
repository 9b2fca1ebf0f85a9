"""What a user sets once for a notebook or for good: `%config LLM.target_language = "fr"`.

The same names work in `ipython_config.py`: `c.LLM.translate_model = "Helsinki-NLP/opus-mt-en-fr"`.
"""

from __future__ import annotations

from traitlets import Float, Unicode, observe
from traitlets.config import Configurable

__all__ = ["LLM", "settings_of"]


class LLM(Configurable):
    """Settings of llm_magics."""

    translate_model = Unicode(
        "", help="Model of %%translate when --model is not given; empty: chosen by language."
    ).tag(config=True)
    summarize_model = Unicode(
        "", help="Model of %%summarize when --model is not given; empty: chosen by language."
    ).tag(config=True)
    ask_model = Unicode(
        "", help="Model of %%ask when --model is not given; empty: chosen by language."
    ).tag(config=True)
    predict_model = Unicode(
        "", help="Model of %%predict when --model is not given; empty: chosen."
    ).tag(config=True)
    generate_model = Unicode(
        "", help="Model of %%generate when --model is not given; empty: chosen."
    ).tag(config=True)
    sentiment_model = Unicode(
        "", help="Model of %%understand for the mood of texts; empty: chosen by language."
    ).tag(config=True)
    labels_model = Unicode(
        "", help="Model of %%understand for labels of your own; empty: chosen by language."
    ).tag(config=True)
    entities_model = Unicode(
        "", help="Model of %%understand for names; empty: chosen by language."
    ).tag(config=True)
    similarity_model = Unicode(
        "", help="Model of %%understand for how alike lines are; empty: chosen by language."
    ).tag(config=True)
    target_language = Unicode("", help="Language of %%translate when --to is not given.").tag(
        config=True
    )
    endpoint = Unicode(
        "",
        help="Where openai:NAME models are, such as http://127.0.0.1:8000/v1; empty: as the "
        "environment says (LLM_MAGICS_ENDPOINT, OPENAI_BASE_URL). Keys come from the environment "
        "only.",
    ).tag(config=True)
    endpoint_deadline_s = Float(
        300.0, help="Seconds within which the endpoint must have answered one prompt."
    ).tag(config=True)

    @observe("endpoint", "endpoint_deadline_s")
    def _tell_session(self, change: object) -> None:
        # Not in a validator: IPython would repeat the error of a value it keeps with every other
        # setting.
        from llm_magics.session import current_session

        current_session().set_endpoint(self.endpoint or None, deadline_s=self.endpoint_deadline_s)


def settings_of(shell: object) -> LLM:
    """The settings of the extension as loaded in `shell`; the defaults when it is not."""
    found = [item for item in getattr(shell, "configurables", []) if isinstance(item, LLM)]
    return found[0] if found else LLM()
