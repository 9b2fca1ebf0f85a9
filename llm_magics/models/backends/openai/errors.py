"""Everything an endpoint can answer but an answer, as one short error that says what to do; the key
is in none of them."""

from __future__ import annotations

import email.utils
import json
import re
import time
from typing import TYPE_CHECKING, Any

from llm_magics.errors import EndpointError, LLMMagicsError, ModelNotFound, TooLong, printable

if TYPE_CHECKING:
    from httpx2 import AsyncClient

    from llm_magics.models.backends.openai.endpoint import Endpoint

__all__ = ["FOR_NOW", "Complaints", "problem_in", "retry_after", "said_in", "trouble"]

FOR_NOW = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
"""Statuses after which the same request may succeed a little later."""
_MAX_SAID = 200
_NO_MODEL = re.compile(
    r"model\b.{0,100}\b(not found|does not exist|not available|unknown)|(unknown|no such) model",
    re.I,
)
_TOO_LONG = re.compile(
    r"context.{0,20}(length|size|window)|maximum.{0,20}(context|tokens)|too (long|many tokens)",
    re.I,
)
_WHERE = "is it the address of an OpenAI-compatible server? It often ends in /v1"


class Complaints:
    """The errors of one exchange with `endpoint` about the model `name`; `secret` is the key that
    was sent, or empty."""

    def __init__(self, endpoint: Endpoint, name: str, secret: str = "") -> None:
        self.endpoint, self.name, self.secret = endpoint, name, secret

    async def refusal(
        self, client: AsyncClient, status: int, said: str, place: str
    ) -> LLMMagicsError:
        """For a status that is not 200; `place` is where it redirects to."""
        where = self.endpoint.origin
        if 300 <= status < 400:
            return EndpointError(
                f"{where} redirects to {self.clean(place)}, which is not followed: if you trust "
                "that address, configure it"
            )
        if status in (401, 403):
            return EndpointError(f"{where} refuses this user ({status}): {self._key_advice()}")
        if status == 413 or (status in (400, 422) and _TOO_LONG.search(said)):
            return TooLong(
                f"{self.name} cannot read so much at once: {self.quoted(said)}; give it a "
                "shorter text"
            )
        if status == 404 or (status == 400 and _NO_MODEL.search(said)):
            return await self._no_model(client, said)
        return self.said(said or "nothing", status)

    def for_now(self, status: int, said: str) -> str:
        """What is said of a status in FOR_NOW."""
        reason = (
            "refuses more requests for now (429)"
            if status == 429
            else f"answered with status {status}"
        )
        return f"{self.endpoint.origin} {reason}" + (f", {self.quoted(said)}" if said else "")

    def said(self, said: str, status: int | None = None) -> EndpointError:
        """For what the endpoint itself calls an error."""
        about = f"with status {status}" if status else "with an error"
        return EndpointError(
            f"{self.endpoint.origin} answered {about} for {self.name}: {self.quoted(said)}"
        )

    def wrong(self, what: str) -> EndpointError:
        """For what is no answer at all."""
        return EndpointError(f"{self.endpoint.origin} sent {what}; {_WHERE}")

    def cut(self, come: str) -> EndpointError:
        """For a connection that ended within the answer; `come` is what there is of it."""
        return EndpointError(
            f"the answer of {self.name} was cut off after {len(come):,} characters: the "
            "connection broke; try again"
        )

    def too_much(self) -> EndpointError:
        """For an answer over the limit."""
        return EndpointError(
            f"the answer of {self.name} is longer than the {self.endpoint.max_bytes:,} bytes "
            "that are read, and was stopped"
        )

    def late(self, come: str) -> EndpointError:
        """For an answer that did not end in time."""
        found = f"after {len(come):,} characters of its answer" if come else "without an answer"
        return EndpointError(
            f"{self.name} did not finish within {self.endpoint.deadline_s:g} s and was stopped "
            f"{found}: allow more with %config LLM.endpoint_deadline_s"
        )

    def only_thoughts(self, n_tokens: int) -> EndpointError:
        """For a model that thought until its tokens were used up."""
        return EndpointError(
            f"{self.name} used up its {n_tokens:,} tokens for thoughts and did not answer: "
            "switch its thinking off at the endpoint, or choose another model"
        )

    def clean(self, text: str) -> str:
        """A few words of somebody else's, in one line, without the key."""
        text = printable(" ".join(text.split()))
        text = text.replace(self.secret, "[key]") if self.secret else text
        return text if len(text) <= _MAX_SAID else text[: _MAX_SAID - 1] + "…"

    def quoted(self, text: str) -> str:
        """`clean`, in quotes."""
        return f"“{self.clean(text)}”"

    def _key_advice(self) -> str:
        name = self.endpoint.key_variable()
        if self.secret:
            return f"the key in {name} is not valid there"
        if name and self.endpoint.url.startswith("http:") and not self.endpoint.is_loopback:
            return f"the key in {name} is not sent over plain http; use https"
        if name:
            return f"set {name} to its key in the environment of the kernel"
        return (
            f"set LLM_MAGICS_ENDPOINT to {self.endpoint.url} and LLM_MAGICS_API_KEY to its key "
            "in the environment of the kernel; keys of other addresses are not sent there"
        )

    async def _no_model(self, client: AsyncClient, said: str) -> LLMMagicsError:
        from llm_magics.models.backends.openai.listing import list_models

        try:
            served = [served.name for served in await list_models(client, self.endpoint)]
        except EndpointError:
            return EndpointError(
                f"{self.endpoint.url}/chat/completions is not there (404"
                f"{', ' + self.quoted(said) if said else ''}): {_WHERE}"
            )
        return ModelNotFound(
            f"{self.endpoint.origin} has no model {self.name.removeprefix('openai:')!r}; it has "
            f"{self.clean(', '.join(served[:8])) or 'none'}"
        )


def problem_in(event: Any) -> str:
    """What an event that reports an error says, empty for others."""
    error = event.get("error") if isinstance(event, dict) else None
    if isinstance(error, dict):
        error = error.get("message") or error.get("code") or json.dumps(error)
    return str(error) if error else ""


def said_in(body: bytes) -> str:
    """What a refusal says: the message within its JSON (OpenAI's form or FastAPI's), else its
    text."""
    text = body.decode("utf-8", "replace").strip()
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return "" if text.startswith("<") else text  # a page of HTML says nothing in one line
    if not isinstance(found, dict):
        return text
    said = problem_in(found) or found.get("detail") or found.get("message") or ""
    return said if isinstance(said, str) else json.dumps(said)


def retry_after(value: str | None) -> float | None:
    """Seconds to wait by a Retry-After header: a number or a date; None when there is none."""
    if not value:
        return None
    if re.fullmatch(r"\d{1,9}(\.\d+)?", value.strip()):
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError):
        return None


def trouble(error: Exception, connect_s: float) -> str:
    """A transport error in words."""
    from httpx2 import ConnectError, ConnectTimeout

    if isinstance(error, ConnectTimeout):
        return f"did not answer within {connect_s:g} s"
    if isinstance(error, ConnectError):
        return (
            f"cannot be reached ({printable(error)[:80] or 'no connection'}): is the server "
            "running, is the address right?"
        )
    return f"closed the connection without an answer ({type(error).__name__})"
