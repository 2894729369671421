"""Settings that both clients give to httpx2, and its errors as ours."""

from importlib.metadata import version
from typing import Any

import httpx2

from rt_price_aggregator_client.errors import ConnectionFailed, TimedOut
from rt_price_aggregator_client.request import Request

_DISTRIBUTION = "rt-price-aggregator-client"


def settings(url: str, api_key: str | None, timeout: float) -> dict[str, Any]:
    """Return the arguments of httpx2's client. Redirects are not followed, because a key must not go elsewhere.

    Raises ValueError for a key that no header may have; httpx2 would show the key in its error.
    """
    headers = {"User-Agent": f"{_DISTRIBUTION}/{version(_DISTRIBUTION)}"}
    key = (api_key or "").strip()  # a key that was read from a file ends with its line
    if not (key.isascii() and key.isprintable()):
        raise ValueError("the API key has a character that no header may have")
    if key:
        headers["Authorization"] = f"Bearer {key}"
    return {"base_url": url, "headers": headers, "timeout": httpx2.Timeout(timeout), "follow_redirects": False}


def arguments(request: Request[Any]) -> dict[str, Any]:
    """Return the arguments of httpx2 for a request."""
    return {
        "method": request.method,
        "url": request.path,
        "params": request.parameters,
        "headers": request.headers,
        "content": request.body,
    }


def stream_timeout(timeout: float, heartbeat_timeout: float) -> httpx2.Timeout:
    """Return the timeouts of a stream, in seconds."""
    return httpx2.Timeout(timeout, read=heartbeat_timeout)


def failure_of(error: httpx2.RequestError) -> ConnectionFailed:
    """Return the error of this package for one of httpx2."""
    message = _address_of(error) + (f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
    failure = TimedOut(message) if isinstance(error, httpx2.TimeoutException) else ConnectionFailed(message)
    failure.__cause__ = error
    return failure


def _address_of(error: httpx2.RequestError) -> str:
    """Return the address that was asked, for the front of a message; empty where it is unknown."""
    try:
        url = error.request.url
    except RuntimeError:  # an error that no request has
        return ""
    return f"{url.scheme}://{url.netloc.decode()}: "
