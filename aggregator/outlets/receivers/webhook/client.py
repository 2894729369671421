"""HTTP posts to receivers, which are not trusted: bounds of time and size, no redirects, public addresses only.

The address is checked when a socket for it is made, after the name was resolved, so that a name that resolves to
another address later (DNS rebinding) has no effect. Proxies of the environment are not used: a proxy resolves names
itself.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import aiohttp
import msgspec

from aggregator.errors import printable
from aggregator.exchanges.connection import TooMuch, connector, why_unreachable
from aggregator.exchanges.retry_after import retry_after
from aggregator.outlets.receivers.webhook.public_addresses import why_not_public
from aggregator.outlets.receivers.webhook.target import WebhookTarget

CONNECT_SECONDS, TOTAL_SECONDS = 5.0, 10.0
_BODY_SECONDS = 1.0  # for the body of an answer, after its status is known
_MOST_BODY = 4096  # bytes of the body of an answer; of a longer one the connection is closed
_FINAL = range(200, 600)  # statuses
_DNS_SECONDS = 30  # that a resolved address is used

Session = aiohttp.ClientSession


class NotPublic(OSError):
    """The name of a receiver resolves to an address that is not public."""


class Posted(msgspec.Struct, frozen=True):
    """The answer to a post: its status, 0 without an answer, and the seconds that its Retry-After asks for.

    `trouble` is why there was no answer; it has no part of the URL but the host. `is_unsure`: the receiver may have the
    body nevertheless.
    """

    status: int
    retry_after: float | None = None
    trouble: str = ""
    is_unsure: bool = False


class WebhookClient:
    """Posts to one receiver. `resolver` replaces the resolver of the system; `now` is unix seconds.

    `total` and `connect` are seconds of a post, and of a connection with its handshake.
    """

    def __init__(
        self,
        target: WebhookTarget,
        now: Callable[[], float],
        *,
        allow_private: bool,
        resolver: aiohttp.abc.AbstractResolver | None = None,
        total: float = TOTAL_SECONDS,
        connect: float = CONNECT_SECONDS,
    ) -> None:
        self._target = target
        self._now = now
        self._resolver = resolver
        self._open_socket = _any_socket if allow_private else _public_socket
        self._timeout = aiohttp.ClientTimeout(total=total, connect=connect, sock_connect=connect)
        self._session: Session | None = None

    @property
    def host(self) -> str:
        """The receiver, for messages."""
        return self._target.host

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def post(self, body: bytes, headers: Mapping[str, str]) -> Posted:
        """Post a body and return the answer; raise nothing."""
        host = self._target.host
        try:
            async with self._opened().post(
                self._target.url, data=body, headers=headers, allow_redirects=False
            ) as response:
                answer = response.headers
                asked = retry_after(answer.get("Retry-After", ""), answer.get("Date", ""), self._now())
                await _finish(response)
                if response.status not in _FINAL:
                    return Posted(0, trouble=f"{host}: no answer", is_unsure=True)
                return Posted(response.status, asked)
        except TimeoutError as error:
            is_unsure = not isinstance(error, aiohttp.ConnectionTimeoutError)
            return Posted(0, trouble=f"{host}: no answer in time", is_unsure=is_unsure)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            is_unsure = not isinstance(error, aiohttp.ClientConnectorError | aiohttp.InvalidURL)
            return Posted(0, trouble=f"{host}: {_reason(error)}", is_unsure=is_unsure)

    async def connect(self) -> str:
        """Resolve, connect and, for https, shake hands, without a request; return why that fails, or nothing."""
        target = self._target
        try:
            async with asyncio.timeout(self._timeout.total):
                await self._shake_hands()
        except TimeoutError:
            return f"{target.host}: no connection in time"
        except (OSError, ValueError) as error:
            return f"{target.host}: {_reason(error)}"
        return ""

    async def _shake_hands(self) -> None:
        """Connect to one of the addresses. Raises OSError of the last one."""
        target, loop = self._target, asyncio.get_running_loop()
        context = ssl.create_default_context() if target.url.startswith("https:") else None
        error = OSError(f"{target.host} has no address")
        for info in await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM):
            try:
                with self._open_socket(info) as made:
                    made.settimeout(0)
                    await loop.sock_connect(made, info[4])
                    name = target.host if context else None
                    transport, _ = await loop.create_connection(
                        asyncio.Protocol, sock=made.dup(), ssl=context, server_hostname=name
                    )
            except OSError as failed:
                error = failed
            else:
                transport.abort()
                return
        raise error

    def _opened(self) -> Session:
        if self._session is None:
            made = connector(ttl_dns_cache=_DNS_SECONDS, resolver=self._resolver, socket_factory=self._open_socket)
            self._session = Session(
                connector=made,
                timeout=self._timeout,
                headers={"Accept-Encoding": "identity", "User-Agent": "price-aggregator"},
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,  # bodies are dropped
            )
        return self._session


def _any_socket(info: Any) -> socket.socket:
    family, kind, protocol, _, _ = info
    return socket.socket(family=family, type=kind, proto=protocol)


def _public_socket(info: Any) -> socket.socket:
    """Return a socket for a resolved address. Raises NotPublic for one that is not public."""
    address = info[4][0]
    kind = why_not_public(str(address))
    if kind:
        raise NotPublic(
            f"the address {address} is {kind}; private addresses need AGGREGATOR_OUTLETS_ALLOW_PRIVATE=true"
        )
    return _any_socket(info)


async def _finish(response: aiohttp.ClientResponse) -> None:
    """Read a short body, so that the connection can be used again; of any other body, close the connection."""
    content, size = response.content, 0
    with suppress(TimeoutError, aiohttp.ClientError):  # the status is known, and is what counts
        async with asyncio.timeout(_BODY_SECONDS):
            while size <= _MOST_BODY and not content.at_eof():
                size += len(await content.readany())
    if not content.at_eof():
        response.close()


def _reason(error: Exception) -> str:
    if isinstance(error, TooMuch):
        return str(error)
    cause = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"the certificate is not valid: {printable(cause.verify_message)}"
    if isinstance(cause, NotPublic):
        return str(cause)
    return why_unreachable(cause) if isinstance(cause, OSError) and cause.errno else type(error).__name__
