"""Where remote models are: an OpenAI-compatible endpoint (vLLM, llama.cpp, Ollama, `transformers
serve`), and its key.

An endpoint is what the user configured, else what the environment names. A key comes from the
environment only and belongs to the address that stands beside it there:

    LLM_MAGICS_ENDPOINT   LLM_MAGICS_API_KEY
    OPENAI_BASE_URL       OPENAI_API_KEY       (without OPENAI_BASE_URL: https://api.openai.com)

It is sent to that origin (scheme, host, port) and to no other, whatever a notebook configures, and
over plain http only to this machine. It is read when a request is made and kept nowhere.

This module is light: it imports the standard library only.
"""

from __future__ import annotations

import ipaddress
import math
import os
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from llm_magics.errors import InputError, ModelNotFound

__all__ = ["ENDPOINT_VARIABLES", "Endpoint", "find_endpoint"]

ENDPOINT_VARIABLES = (
    ("LLM_MAGICS_ENDPOINT", "LLM_MAGICS_API_KEY"),
    ("OPENAI_BASE_URL", "OPENAI_API_KEY"),
)
"""(address, its key), the first that is set is taken."""
_OPENAI = "https://api.openai.com/v1"
_PORTS = {"http": 80, "https": 443}
_EXAMPLE = "such as http://127.0.0.1:8000/v1"


@dataclass(frozen=True)
class Endpoint:
    """An address and how patiently it is asked. Raises InputError for an address that must not or
    cannot be used."""

    url: str
    """http:// or https://, up to and with the version: `http://127.0.0.1:8000/v1`."""
    deadline_s: float = 300.0
    """For the answer to one prompt, tries and waits included."""
    max_bytes: int = 16 << 20
    """Of one answer as it comes over the line, some 200 bytes a token."""
    tries: int = 4
    """How often a request is made that was refused for now, before anything was answered."""
    backoff_s: float = 0.5
    """The longest first wait between two tries; it doubles from try to try."""
    parallel: int = 4
    """Prompts that are asked at the same time."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", _checked(self.url))
        if not (math.isfinite(self.deadline_s) and self.deadline_s > 0):
            raise InputError(
                "an endpoint's deadline_s must be a number of seconds above 0, not "
                f"{self.deadline_s!r}"
            )
        for name in ("max_bytes", "tries", "parallel"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InputError(
                    f"an endpoint's {name} must be a whole number from 1, not {value!r}"
                )

    @property
    def origin(self) -> str:
        """Scheme, host and port: what a key is bound to."""
        return _origin(self.url)

    @property
    def is_loopback(self) -> bool:
        """Whether it is on this machine."""
        host = urlsplit(self.url).hostname or ""
        address = _address(host)
        return host == "localhost" or (address is not None and address.is_loopback)

    def key(self) -> str | None:
        """The key of this origin, None when the environment has none for it or it would travel
        unencrypted.

        Raises InputError, without showing it, for a key that cannot stand in a header.
        """
        name = self.key_variable()
        key = os.environ.get(name, "").strip() if name else ""
        if not key or (self.url.startswith("http:") and not self.is_loopback):
            return None
        if not (key.isascii() and key.isprintable() and " " not in key):
            raise InputError(f"{name} holds characters that no key has; set it again")
        return key

    def key_variable(self) -> str | None:
        """The environment variable whose key belongs to this origin, set or not."""
        for place, name in ENDPOINT_VARIABLES:
            address = os.environ.get(place, "").strip() or (
                _OPENAI if name == "OPENAI_API_KEY" else ""
            )
            if address and _same_origin(address, self.url):
                return name
        return None


def find_endpoint(configured: Endpoint | str | None = None) -> Endpoint:
    """The endpoint that is configured, else the environment's. Raises ModelNotFound when there is
    none, or InputError."""
    if configured:
        return configured if isinstance(configured, Endpoint) else Endpoint(configured)
    for place, _ in ENDPOINT_VARIABLES:
        if os.environ.get(place, "").strip():
            return Endpoint(os.environ[place].strip())
    raise ModelNotFound(
        "no endpoint is configured for openai: models: %config LLM.endpoint = "
        '"http://127.0.0.1:8000/v1" '
        f"or set {ENDPOINT_VARIABLES[0][0]}"
    )


def _checked(url: object) -> str:
    """The address without a slash at its end."""
    if not isinstance(url, str) or not url.strip():
        raise InputError(f"an endpoint is an address {_EXAMPLE}, not {url!r}")
    url = url.strip().rstrip("/")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts = host = None
    if (
        parts is None
        or not host
        or parts.scheme not in _PORTS
        or not url.isascii()
        or not url.isprintable()
        or " " in url
    ):
        raise InputError(
            f"{_without_user(url)!r} is no address of an endpoint: give http:// or https://, "
            f"{_EXAMPLE}"
        )
    if "@" in parts.netloc:
        raise InputError(
            "an endpoint's address holds no user or password: leave out what stands before @, "
            f"and set the key in {ENDPOINT_VARIABLES[0][1]}"
        )
    if parts.query or parts.fragment:
        raise InputError(f"an endpoint's address has no ? or #: give it {_EXAMPLE}")
    address = _address(host)
    if address is not None and (
        address.is_link_local or address.is_multicast or address.is_unspecified
    ):
        raise InputError(
            f"{host} is no address of a model server (link-local, multicast or unspecified): "
            f"give one {_EXAMPLE}"
        )
    return url


def _without_user(url: str) -> str:
    """`url` cut short, and without what stands before an @: that may be a password."""
    return url.rpartition("@")[2][:80]


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        try:  # 2852039166 and 0xa9fea9fe are IPv4 addresses as well, to whoever connects
            return ipaddress.ip_address(socket.inet_aton(host))
        except OSError:
            return None
    return getattr(address, "ipv4_mapped", None) or address


def _origin(url: str) -> str:
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    port = parts.port or _PORTS.get(parts.scheme)
    return f"{parts.scheme}://{host}" + (f":{port}" if port != _PORTS.get(parts.scheme) else "")


def _same_origin(one: str, other: str) -> bool:
    try:
        return _origin(one) == _origin(other)
    except ValueError:  # what the environment holds may be no address at all
        return False
