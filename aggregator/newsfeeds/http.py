"""HTTP calls to sources of news: bounded in time, size and redirects, with every failure as a SourceError."""

from collections.abc import Callable, Mapping
from urllib.parse import SplitResult, urljoin, urlsplit

import aiohttp
import msgspec

from aggregator.errors import ExchangeError
from aggregator.exchanges.connection import ENCODINGS, TooMuch, connector
from aggregator.exchanges.http import whole_body
from aggregator.exchanges.retry_after import retry_after
from aggregator.news.ports import SourceError

Session = aiohttp.ClientSession

SECONDS = 15.0  # of a call with its redirects
MOST_REDIRECTS = 3
_OK, _NOT_MODIFIED, _TOO_OFTEN = 200, 304, 429
_REDIRECTS = (301, 302, 303, 307, 308)
_KEY_REFUSED = (401, 403)
_USUAL_PORTS = {"http": 80, "https": 443}


class Reply(msgspec.Struct, frozen=True):
    """An answer. `body` is None where it has not changed since the one that the request names."""

    body: bytes | None
    headers: Mapping[str, str]


def session() -> aiohttp.ClientSession:
    """Return the session that all sources share; it has connections of its own, apart from the exchanges'."""
    return aiohttp.ClientSession(
        connector=connector(),
        timeout=aiohttp.ClientTimeout(total=SECONDS),
        headers={"Accept-Encoding": ENCODINGS, "User-Agent": "price-aggregator"},
        cookie_jar=aiohttp.DummyCookieJar(),
    )


class Client:
    """Calls sources. A redirect is followed to the same host, or to one of `hosts`; never to a scheme but http(s)."""

    def __init__(self, http: aiohttp.ClientSession, now: Callable[[], float], hosts: frozenset[str]) -> None:
        self._http = http
        self._now = now
        self._hosts = hosts

    async def get(self, url: str, headers: Mapping[str, str], most: int, *, redirects: int = 0) -> Reply:
        """Return the answer, of at most `most` bytes, after at most `redirects` redirects. Raises SourceError."""
        for _ in range(redirects + 1):
            found = await self._get(url, headers, most)
            if isinstance(found, Reply):
                return found
            url = self._allowed(url, found)
        raise SourceError("redirect", f"more than {redirects} redirects")

    async def _get(self, url: str, headers: Mapping[str, str], most: int) -> Reply | str:
        """Return the answer, or where it redirects to."""
        try:
            async with self._http.get(url, headers=headers, allow_redirects=False) as response:
                if response.status in _REDIRECTS:
                    return response.headers.get("Location", "")
                self._check(response)
                body = None if response.status == _NOT_MODIFIED else await whole_body(response, most)
                return Reply(body, response.headers)
        except TimeoutError as error:
            raise SourceError("timeout", "no answer in time") from error
        except (TooMuch, ExchangeError) as error:
            raise SourceError("too_large", str(error)) from error
        except (aiohttp.ClientError, ValueError) as error:
            raise SourceError("unreachable", type(error).__name__) from error

    def _check(self, response: aiohttp.ClientResponse) -> None:
        """Raise SourceError for a status without articles."""
        status, headers = response.status, response.headers
        if status in (_OK, _NOT_MODIFIED):
            return
        asked = retry_after(headers.get("Retry-After", ""), headers.get("Date", ""), self._now())
        if status == _TOO_OFTEN:
            raise SourceError("rate_limited", f"HTTP {status}", asked)
        raise SourceError("key_refused" if status in _KEY_REFUSED else "http_error", f"HTTP {status}", asked)

    def _allowed(self, url: str, location: str) -> str:
        """Return where a redirect leads to. Raises SourceError unless it may be followed."""
        try:
            target = urljoin(url, location)
            before, after = urlsplit(url), urlsplit(target)
            is_allowed = bool(location) and self._may_follow(before, after)
        except ValueError as error:
            raise SourceError("redirect", "a redirect without an address") from error
        if not is_allowed:
            raise SourceError("redirect", f"a redirect to {after.scheme}://{after.hostname}, which is not followed")
        return target

    def _may_follow(self, before: SplitResult, after: SplitResult) -> bool:
        if after.scheme not in _USUAL_PORTS or (before.scheme == "https" and after.scheme == "http"):
            return False
        if after.username is not None or after.password is not None or after.hostname is None:
            return False
        ports = [one.port or _USUAL_PORTS[one.scheme] for one in (before, after)]
        is_same = before.hostname == after.hostname and (ports[0] == ports[1] or {*ports} == {80, 443})
        return is_same or host_of(after) in self._hosts


def host_of(url: SplitResult) -> str:
    """Return host and port of a URL, by which redirects are compared. Raises ValueError for a wrong port."""
    return f"{url.hostname}:{url.port or _USUAL_PORTS[url.scheme]}"
