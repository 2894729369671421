"""Addresses in settings: the history, and exchanges that are polled, push, are replayed or are called through ccxt."""

import re
from pathlib import Path

import pytest

from aggregator.exchanges.dialect import Dialect
from aggregator.exchanges.registry import DIALECTS, PUSHING
from aggregator.exchanges.targets import ExchangeTarget, exchange_targets
from aggregator.settings import Settings
from aggregator.stores.dynamodb import DynamoAddress, parse_dynamodb_url
from aggregator.stores.sqlite import parse_sqlite_url


def test_history_addresses() -> None:
    """Relative and absolute files; tables with and without an endpoint."""
    assert parse_sqlite_url("sqlite:///prices.db") == Path("prices.db")
    assert parse_sqlite_url("sqlite:////var/lib/prices.db") == Path("/var/lib/prices.db")
    assert parse_dynamodb_url("dynamodb://prices") == DynamoAddress("prices", "us-east-1", None)
    assert parse_dynamodb_url("dynamodb://prices?region=eu-west-1&endpoint=http://127.0.0.1:8000") == DynamoAddress(
        "prices", "eu-west-1", "http://127.0.0.1:8000"
    )


def test_exchanges_with_addresses() -> None:
    """Spaces and a trailing comma are ignored."""
    assert exchange_targets(" a=mock+http://127.0.0.1:1 ,b=mock+https://example.test/x,") == [
        ExchangeTarget("a", "mock", "http://127.0.0.1:1"),
        ExchangeTarget("b", "mock", "https://example.test/x"),
    ]


def test_a_dialect_alone_means_its_public_address() -> None:
    """The exchange has the name of the dialect, and its address is https."""
    assert exchange_targets("binance,coinbase,kraken") == [
        ExchangeTarget(name, name, "") for name in ("binance", "coinbase", "kraken")
    ]
    assert all(DIALECTS[name]().public_url.startswith("https://") for name in DIALECTS if name != "mock")


def test_exchanges_that_push() -> None:
    """+ws adds a feed; both addresses are the public ones unless others are given."""
    targets = exchange_targets(
        "binance+ws,a=kraken+ws,b=kraken+ws+wss://x.test:1/y,c=coinbase+http://127.0.0.1:1+ws://127.0.0.1:2,"
        "d=coinbase+https://x.test+ws"
    )
    assert targets == [
        ExchangeTarget("binance", "binance", "", ""),
        ExchangeTarget("a", "kraken", "", ""),
        ExchangeTarget("b", "kraken", "", "wss://x.test:1/y"),
        ExchangeTarget("c", "coinbase", "http://127.0.0.1:1", "ws://127.0.0.1:2"),
        ExchangeTarget("d", "coinbase", "https://x.test", ""),
    ]
    assert all(PUSHING[name]().public_url.startswith("wss://") for name in PUSHING if name != "mock")


def test_a_mock_exchange_pushes_at_its_own_address() -> None:
    """It has no public address, so +ws means the address of its REST server, unless another is given."""
    urls = "a=mock+http://127.0.0.1:1+ws,b=mock+https://example.test/x+ws,c=mock+http://127.0.0.1:1+ws://127.0.0.1:2"
    assert exchange_targets(urls) == [
        ExchangeTarget("a", "mock", "http://127.0.0.1:1", "ws://127.0.0.1:1"),
        ExchangeTarget("b", "mock", "https://example.test/x", "wss://example.test/x"),
        ExchangeTarget("c", "mock", "http://127.0.0.1:1", "ws://127.0.0.1:2"),
    ]


def test_recordings() -> None:
    """The name is given, or that of the file up to its first dot; the path is absolute or relative."""
    assert exchange_targets("replay+file:///tmp/kraken.rec.gz,x=replay+file://a/b.gz") == [
        ExchangeTarget("kraken", "replay", "/tmp/kraken.rec.gz"),  # noqa: S108  # a name only, no file
        ExchangeTarget("x", "replay", "a/b.gz"),
    ]
    for wrong in ("replay+file://", "replay+file:///tmp/A.gz", "replay", "replay+http://127.0.0.1:1"):
        with pytest.raises(ValueError, match=re.escape(wrong)):
            exchange_targets(wrong)


def test_exchanges_through_ccxt() -> None:
    """The name of ccxt alone, or a name and an address."""
    assert exchange_targets("ccxt:gemini,k=ccxt:kraken+http://127.0.0.1:1") == [
        ExchangeTarget("gemini", "ccxt:gemini", ""),
        ExchangeTarget("k", "ccxt:kraken", "http://127.0.0.1:1"),
    ]
    assert [target.library for target in exchange_targets("binance,ccxt:gemini")] == ["", "gemini"]
    for wrong in ("ccxt:", "ccxt:Gemini", "ccxt", "k=ccxt:+http://127.0.0.1:1", "ccxt:a:b"):
        with pytest.raises(ValueError, match=f"{wrong!r}|ccxt:NAME"):
            exchange_targets(wrong)


def test_every_dialect_of_the_settings_is_implemented() -> None:
    """The settings name each; those that push can be named with +ws."""
    described = str(Settings.model_fields["exchanges"].description)
    assert f"Dialects: {', '.join(DIALECTS)}." in described
    assert exchange_targets(",".join(f"{name}={name}+http://127.0.0.1:1" for name in DIALECTS))
    assert exchange_targets(",".join(f"{name}+ws" for name in PUSHING if name != "mock"))
    dialects: list[Dialect] = [make() for make in DIALECTS.values()]
    assert all(dialect.request for dialect in dialects)
