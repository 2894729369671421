"""Sign-in to ElastiCache with AWS credentials: the signature that AWS documents, and what Redis is sent."""

import hashlib
import hmac
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode

import pytest
from redis.exceptions import AuthenticationError

from aggregator.errors import StoreUnavailable
from aggregator.stores.redis.client import RedisClient
from aggregator.stores.redis.iam import sign_in_of
from tests.parts.redis_server import RedisServer, binary

KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"  # AWS' own example
URL = "rediss://prices-service@redis.example:6379/0?iam=prices&region=eu-west-1"


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Use the example's credentials, and none of this machine's."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)


def signature(host: str, query: dict[str, str]) -> str:
    """Return the query of `GET /`, signed by Signature Version 4 as documented."""
    asked = urlencode(sorted(query.items()), quote_via=quote, safe="-_.~")
    canonical = "\n".join(["GET", "/", asked, f"host:{host}", "", "host", hashlib.sha256(b"").hexdigest()])
    day, region, service, _ = scope = query["X-Amz-Credential"].split("/")[1:]
    text = "\n".join(
        [
            "AWS4-HMAC-SHA256",
            query["X-Amz-Date"],
            "/".join(scope),
            hashlib.sha256(canonical.encode()).hexdigest(),
        ]
    )
    key = f"AWS4{SECRET}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.new(key, text.encode(), "sha256").hexdigest()


async def test_the_password_is_a_signed_url_of_connect() -> None:
    """For this user and this cache, valid for 15 minutes, and with the documented signature."""
    _, sign_in = sign_in_of(URL)
    assert sign_in is not None
    user, password = await sign_in.get_credentials_async()
    assert user == "prices-service"
    host, _, asked = password.partition("/?")
    query = dict(parse_qsl(asked))
    signed = query.pop("X-Amz-Signature")
    assert host == "prices"
    assert (query["Action"], query["User"], query["X-Amz-Expires"]) == ("connect", "prices-service", "900")
    assert query["X-Amz-Credential"].endswith("/eu-west-1/elasticache/aws4_request")
    assert signed == signature(host, query)


async def test_without_credentials_redis_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is a StoreUnavailable that says why."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    _, sign_in = sign_in_of(URL)
    assert sign_in is not None
    with pytest.raises(AuthenticationError, match="no AWS credentials"):
        await sign_in.get_credentials_async()


@pytest.mark.real
@pytest.mark.skipif(binary() is None, reason="no redis-server here; see the header")
async def test_a_connection_signs_in_as_the_user() -> None:
    """Every connection sends user name and password; an unknown user is an error."""
    server = RedisServer(
        None, "--user", "default", "off", "--user", "prices-service", "on", "nopass", "~*", "&*", "+@all"
    )
    client = RedisClient(server.url.replace("redis://", "redis://prices-service@") + "?iam=prices&region=eu-west-1", 2)
    stranger = RedisClient(server.url.replace("redis://", "redis://stranger@") + "?iam=prices&region=eu-west-1", 2)
    try:
        assert await client.redis.execute_command("ACL WHOAMI") == "prices-service"  # type: ignore[no-untyped-call]  # redis-py has not typed it
        with pytest.raises(StoreUnavailable, match="invalid username-password"):
            await stranger.ping()
    finally:
        await client.close()
        await stranger.close()
        server.stop()


def test_other_urls_stay_as_they_are() -> None:
    """Without `iam`, redis-py gets the URL unchanged."""
    assert sign_in_of("redis://:secret@host:6379/1") == ("redis://:secret@host:6379/1", None)
    assert sign_in_of(URL)[0] == "rediss://redis.example:6379/0"
