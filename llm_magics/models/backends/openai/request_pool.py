"""The one thread in which an endpoint is asked: an event loop of its own, ended at once by a stop
or an interrupt."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from llm_magics.errors import LLMMagicsError

if TYPE_CHECKING:
    from llm_magics.models.backends.openai.client import Reply
    from llm_magics.models.backends.openai.endpoint import Endpoint

__all__ = ["RequestPool", "in_own_loop"]

_STREAM_EVERY_S = 0.1
_POLL_S = 0.05

T = TypeVar("T")


def in_own_loop(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine, run in a thread: a notebook's own thread has a running loop
    already."""
    found: list[Any] = []

    def run() -> None:
        try:
            found.append((asyncio.run(work), None))
        except Exception as error:  # noqa: BLE001 - handed over to the thread that waits
            found.append((None, error.with_traceback(None)))

    thread = threading.Thread(target=run, name="llm-magics-endpoint", daemon=True)
    thread.start()
    while (
        not found
    ):  # not join(): an interrupted join marks a living thread as ended on Python 3.11
        time.sleep(_POLL_S)
    value, error = found[0]
    if error is not None:
        raise error
    return value


class _Teller:
    """Says that there is more of one answer, at most ten times a second."""

    def __init__(self, news: queue.SimpleQueue, index: int) -> None:
        self.news, self.index, self.last_s = news, index, time.monotonic()

    def __call__(self) -> None:
        now = time.monotonic()
        if now - self.last_s >= _STREAM_EVERY_S:
            self.last_s = now
            self.news.put(self.index)


class RequestPool:
    """Requests to one endpoint, `endpoint.parallel` at a time, in a loop of their own in a thread.

    The thread that asked hears of them through `news`, which has the index of an exchange that has
    more text, -1 - index of one that is done, and None at the end.
    """

    def __init__(self, endpoint: Endpoint, name: str, payloads: Sequence[dict[str, Any]]) -> None:
        from llm_magics.models.backends.openai.client import Exchange

        self.endpoint = endpoint
        self.news: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self.exchanges = [
            Exchange(endpoint, name, payload, _Teller(self.news, index))
            for index, payload in enumerate(payloads)
        ]
        self.error: BaseException | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.task: asyncio.Task[None] | None = None
        self.cancelled = threading.Event()
        self._finished: set[int] = set()

    @property
    def replies(self) -> list[Reply]:
        """What there is of every answer."""
        return [exchange.reply for exchange in self.exchanges]

    def follow(
        self, on_text: Callable[[int, str, bool], None] | None, stop: Callable[[], bool] | None
    ) -> set[int]:
        """Which exchanges came to their end before `stop()` was true. Raises what the first that
        failed raised."""
        done: set[int] = set()
        threading.Thread(target=self._run, name="llm-magics-endpoint", daemon=True).start()
        try:
            while stop is None or not stop():
                try:
                    index = self.news.get(timeout=_POLL_S)
                except queue.Empty:
                    continue
                if index is None:
                    break
                final = index < 0
                index = -1 - index if final else index
                done.update([index] if final else [])
                if on_text is not None:
                    on_text(index, self.exchanges[index].reply.text, final)
        finally:
            self._cancel()
        if self.error is None:
            return done | self._finished
        if isinstance(self.error, LLMMagicsError):
            raise type(self.error)(
                str(self.error)
            ) from None  # its frames hold the client, and that the key
        raise self.error

    def _run(self) -> None:
        try:
            asyncio.run(self._all())
        except asyncio.CancelledError:
            pass
        except Exception as error:  # noqa: BLE001 - handed over to the thread that waits
            self.error = error
        finally:
            self.news.put(None)

    async def _all(self) -> None:
        from llm_magics.models.backends.openai.client import make_client

        self.loop, self.task = asyncio.get_running_loop(), asyncio.current_task()
        if self.cancelled.is_set():
            return
        turns = asyncio.Semaphore(self.endpoint.parallel)
        async with make_client(self.endpoint) as client:

            async def one(index: int) -> None:
                async with turns:
                    await self.exchanges[index].run(client)
                self._finished.add(index)
                self.news.put(-1 - index)

            tasks = [asyncio.create_task(one(index)) for index in range(len(self.exchanges))]
            try:
                await asyncio.gather(*tasks)
            finally:  # the first failure, or a stop, ends all
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    def _cancel(self) -> None:
        self.cancelled.set()
        if self.loop is not None and self.task is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: all is done
                self.loop.call_soon_threadsafe(self.task.cancel)
