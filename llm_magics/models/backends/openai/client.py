"""One chat completion over HTTP: tries and waits, the stream of events, the limits on time and
bytes."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llm_magics.errors import EndpointError, printable
from llm_magics.models.backends.openai.errors import (
    FOR_NOW,
    Complaints,
    problem_in,
    retry_after,
    said_in,
    trouble,
)

if TYPE_CHECKING:
    from httpx2 import AsyncClient, Response

    from llm_magics.models.backends.openai.endpoint import Endpoint

__all__ = ["Exchange", "Reply", "make_client"]

_CONNECT_S = 10.0
_MOST_WAIT_S = 8.0
_MAX_REFUSAL_BYTES = 64 << 10
_THOUGHT_TOKENS = 4_096
"""What a model gets on top when its thoughts left no tokens for the answer."""


def make_client(endpoint: Endpoint) -> AsyncClient:
    """A client for this endpoint: no redirects, and no compression, by which a small body could
    become a huge one."""
    from httpx2 import AsyncClient, Timeout

    headers = {"Accept": "text/event-stream, application/json", "Accept-Encoding": "identity"}
    key = endpoint.key()
    if key:
        headers["Authorization"] = f"Bearer {key}"
    # The deadline is kept by whoever asks. Proxies of the environment do not know this machine's
    # own servers. Over plain http
    # there is no certificate to check, and reading the authorities takes longer than a request.
    return AsyncClient(
        headers=headers,
        timeout=Timeout(None, connect=_CONNECT_S),
        follow_redirects=False,
        trust_env=not endpoint.is_loopback,
        verify=endpoint.url.startswith("https:"),
    )


@dataclass
class Reply:
    """What has come of one answer."""

    secret: str = field(default="", repr=False)
    """The key that was sent, which must not be shown when the endpoint sends it back."""
    parts: list[str] = field(default_factory=list)
    finish: str = ""
    """Why the model ended, as the endpoint says it: "stop", "length", ...; empty while it has
    not."""
    stopped_by: str = ""
    """The stop string that ended it, where the endpoint says so (vLLM does)."""
    thought: bool = False
    """Whether it wrote thoughts, which are no part of the answer."""
    n_events: int = 0
    """Events with text or thoughts."""
    usage: dict[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The answer so far, printable and without the key."""
        text = printable("".join(self.parts))
        return text.replace(self.secret, "[key]") if self.secret else text

    @property
    def n_tokens(self) -> int:
        """Tokens written: counted by the endpoint, else its events, which are a token each with
        most servers."""
        return _count(self.usage.get("completion_tokens")) or self.n_events

    @property
    def only_thoughts(self) -> bool:
        """Whether the limit on its tokens ended it before it began to answer."""
        return self.finish == "length" and self.thought and not self.text.strip()

    @property
    def n_prompt_tokens(self) -> int:
        """Tokens read, 0 when the endpoint does not say."""
        return _count(self.usage.get("prompt_tokens"))

    def add(self, event: Any, part: str = "delta") -> None:
        """One event of a stream, or with `part` "message" a whole answer. Raises ValueError for
        what is neither."""
        choices = event.get("choices") if isinstance(event, dict) else None
        if not isinstance(choices, list):
            raise ValueError("no choices")
        if isinstance(event.get("usage"), dict):
            self.usage = event["usage"]
        for choice in choices[:1]:
            message = choice.get(part) or {}
            content, thought = (
                message.get("content"),
                message.get("reasoning_content") or message.get("reasoning"),
            )
            if content is not None and not isinstance(content, str):
                raise ValueError("content that is no text")
            self.parts += [content] if content else []
            self.thought = self.thought or bool(thought)
            self.n_events += bool(content or thought)
            self.finish = str(choice.get("finish_reason") or self.finish)
            stopped_by = choice.get("stop_reason")
            self.stopped_by = stopped_by if isinstance(stopped_by, str) else self.stopped_by


class _Again(Exception):
    """The request failed for now and may be made again; `wait_s` is what the endpoint asks for."""

    def __init__(self, why: str, wait_s: float | None = None) -> None:
        super().__init__(why)
        self.wait_s = wait_s


class Exchange:
    """One prompt and its answer."""

    def __init__(
        self, endpoint: Endpoint, name: str, payload: dict[str, Any], on_text: Callable[[], None]
    ) -> None:
        self.endpoint, self.name, self.payload, self.on_text = endpoint, name, payload, on_text
        self.reply = Reply()
        """What there is; of an exchange that was cancelled, the part that had come."""
        self.complaints = Complaints(endpoint, name)

    async def run(self, client: AsyncClient) -> Reply:
        """The whole answer. Raises EndpointError, ModelNotFound or TooLong; cancelling ends it at
        once."""
        self.complaints.secret = client.headers.get("Authorization", "").removeprefix("Bearer ")
        try:
            async with asyncio.timeout(self.endpoint.deadline_s):
                reply = await self._tried(client)
                if reply.only_thoughts:
                    self.payload["max_tokens"] += _THOUGHT_TOKENS
                    reply = await self._tried(client)
        except TimeoutError:
            raise self.complaints.late(self.reply.text) from None
        if reply.only_thoughts:
            raise self.complaints.only_thoughts(reply.n_tokens)
        return reply

    async def _tried(self, client: AsyncClient) -> Reply:
        """The answer to the first request that is not refused for now; full jitter keeps clients
        from coming in step."""
        end = time.monotonic() + self.endpoint.deadline_s
        for attempt in itertools.count(1):
            try:
                return await self._ask(client)
            except _Again as again:
                if attempt == self.endpoint.tries:
                    raise EndpointError(
                        f"{again} (given up after {attempt} tries)" if attempt > 1 else again
                    ) from None
                wait_s = again.wait_s
                if wait_s is None:
                    wait_s = random.uniform(
                        0, min(_MOST_WAIT_S, self.endpoint.backoff_s * 2 ** (attempt - 1))
                    )
                if time.monotonic() + wait_s >= end:
                    raise EndpointError(
                        f"{again}; the next try would be in {wait_s:,.0f} s, and the deadline is "
                        f"{self.endpoint.deadline_s:g} s: try again later"
                    ) from None
            await asyncio.sleep(wait_s)

    async def _ask(self, client: AsyncClient) -> Reply:
        """One request and its answer. Raises _Again only when nothing of an answer had come."""
        from httpx2 import HTTPError

        self.reply = Reply(self.complaints.secret)
        try:
            async with client.stream(
                "POST", f"{self.endpoint.url}/chat/completions", json=self.payload
            ) as response:
                await self._check(client, response)
                kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
                if kind == "text/event-stream":
                    await self._stream(response)
                elif kind == "application/json":  # from a server that does not stream
                    self._add(
                        (await self._body(response, self.endpoint.max_bytes)).decode(
                            "utf-8", "replace"
                        ),
                        "message",
                    )
                    self.reply.finish = self.reply.finish or "stop"
                else:
                    raise self.complaints.wrong(
                        f"{self.complaints.clean(kind) or 'something'} in place of an answer"
                    )
        except HTTPError as error:
            if self.reply.n_events:
                raise self.complaints.cut(self.reply.text) from None
            raise _Again(f"{self.endpoint.origin} {trouble(error, _CONNECT_S)}") from None
        return self.reply

    async def _check(self, client: AsyncClient, response: Response) -> None:
        """Raises what a refusal means."""
        if response.status_code != 200:
            body = b""
            if not 300 <= response.status_code < 400:
                body = await self._body(response, _MAX_REFUSAL_BYTES, cut=True)
            if response.status_code in FOR_NOW:
                raise _Again(
                    self.complaints.for_now(response.status_code, said_in(body)),
                    retry_after(response.headers.get("Retry-After")),
                )
            raise await self.complaints.refusal(
                client, response.status_code, said_in(body), response.headers.get("Location", "?")
            )
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise self.complaints.wrong("a compressed answer, which was not asked for")

    async def _stream(self, response: Response) -> None:
        from httpx2 import EventSource, SSEError

        try:
            async for event in EventSource(response, max_event_size=self.endpoint.max_bytes):
                if event.data.strip() == "[DONE]":
                    self.reply.finish = self.reply.finish or "stop"
                    return
                if response.num_bytes_downloaded > self.endpoint.max_bytes:
                    raise self.complaints.too_much()
                if event.data.strip():
                    self._add(event.data)
                    self.on_text()
        except SSEError:
            raise self.complaints.too_much() from None
        if not self.reply.finish:  # `transformers serve` ends without [DONE]
            if self.reply.n_events:
                raise self.complaints.cut(self.reply.text)
            raise _Again(f"{self.endpoint.origin} ended the stream before an answer")

    def _add(self, data: str, part: str = "delta") -> None:
        try:
            event = json.loads(data)
            problem = problem_in(event)
            if not problem:
                self.reply.add(event, part)
        except (ValueError, RecursionError, AttributeError, TypeError):
            raise self.complaints.wrong(
                f"something that is no chat completion, {self.complaints.quoted(data)}"
            ) from None
        if problem:
            raise self.complaints.said(problem)

    async def _body(self, response: Response, most_bytes: int, *, cut: bool = False) -> bytes:
        """At most `most_bytes`; with `cut`, what is more is left out."""
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > most_bytes:
                if not cut:
                    raise self.complaints.too_much()
                break
        return bytes(body[:most_bytes])


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0
