"""What an endpoint serves: asked when the user wants to know, or when the model that was named is
not there."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llm_magics.errors import EndpointError, printable

if TYPE_CHECKING:
    from httpx2 import AsyncClient

    from llm_magics.models.backends.openai.endpoint import Endpoint

__all__ = ["ServedModel", "list_models", "served_models"]

_WITHIN_S = 10.0
_MAX_BYTES = 4 << 20
_CONTEXTS = ("max_model_len", "context_length", "context_window")
"""What vLLM and others call the most tokens of a model."""


@dataclass(frozen=True)
class ServedModel:
    """A model of an endpoint."""

    name: str
    """What follows `openai:`."""
    owner: str = ""
    context_tokens: int | None = None
    """Tokens it reads and writes at once, where the endpoint says so."""


def served_models(endpoint: Endpoint) -> list[ServedModel]:
    """The models an endpoint serves. Raises EndpointError."""
    from llm_magics.models.backends.openai.client import make_client
    from llm_magics.models.backends.openai.request_pool import in_own_loop

    async def ask() -> list[ServedModel]:
        async with make_client(endpoint) as client:
            return await list_models(client, endpoint)

    return in_own_loop(ask())


async def list_models(client: AsyncClient, endpoint: Endpoint) -> list[ServedModel]:
    """`served_models` with a client that is there."""
    from httpx2 import HTTPError

    try:
        async with (
            asyncio.timeout(_WITHIN_S),
            client.stream("GET", f"{endpoint.url}/models") as response,
        ):
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > _MAX_BYTES:
                    break
            if response.status_code in (401, 403):
                raise EndpointError(
                    f"{endpoint.origin} lists its models only with a key "
                    f"({response.status_code}): set "
                    f"{endpoint.key_variable() or 'LLM_MAGICS_ENDPOINT and LLM_MAGICS_API_KEY'}"
                )
            if response.status_code != 200:
                raise EndpointError(
                    f"{endpoint.url}/models answered with status {response.status_code}: is it "
                    "the address of an OpenAI-compatible server? It often ends in /v1"
                )
            entries = json.loads(body)["data"]
            return [_served(entry) for entry in entries]
    except TimeoutError:
        raise EndpointError(
            f"{endpoint.origin} did not list its models within {_WITHIN_S:g} s: try again"
        ) from None
    except HTTPError as error:
        raise EndpointError(
            f"{endpoint.origin} cannot be reached ({type(error).__name__}): is the server "
            "running, is the address right?"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise EndpointError(
            f"{endpoint.url}/models answered no list of models: is it the address of an "
            "OpenAI-compatible server? It often ends in /v1"
        ) from None


def _served(entry: dict[str, Any]) -> ServedModel:
    context = next((entry[name] for name in _CONTEXTS if isinstance(entry.get(name), int)), None)
    return ServedModel(printable(entry["id"]), printable(entry.get("owned_by") or ""), context)
