"""The checks of answers under load find wrong answers."""

from collections.abc import Callable

import pytest

from tests.load import checks

PRICE = b'{"asset":"btcusdt","price":77896.49245,"sources":3,"stale":false}'
ZERO = b'{"asset":"btcusdt","price":0}'
NULL = b"null"


@pytest.mark.parametrize(
    "body",
    [b"", NULL, b"<html>", ZERO, b'{"asset":"","price":0}', b'{"asset":"btcusdt"}', PRICE.replace(b"btc", b"eth")],
)
def test_a_wrong_price(body: bytes) -> None:
    """A wrong price: no body, no JSON, null, zero, no price field, or another asset."""
    assert checks.price(body, "btcusdt")


@pytest.mark.parametrize(
    ("check", "body"),
    [
        (lambda body: checks.price(body, "btcusdt"), PRICE),
        (lambda body: checks.sources(body, "btcusdt"), b'{"asset":"btcusdt","price":1.5,"sources":[{"weight":1}]}'),
        (lambda body: checks.prices(body, ["btcusdt"]), b'{"prices":[' + PRICE + b'],"missing":[]}'),
        (
            lambda body: checks.history(body, "btcusdt"),
            b'{"asset":"btcusdt","prices":[{"price":2,"timestamp":2},{"price":1,"timestamp":1.5}],"next":null}',
        ),
        (checks.unknown, b'{"msg":"Asset not found"}'),
    ],
)
def test_right_answers(check: Callable[[bytes], str], body: bytes) -> None:
    """Correct answers of each kind pass."""
    assert check(body) == ""


@pytest.mark.parametrize(
    "body",
    [
        b'{"prices":[],"missing":[]}',
        b'{"prices":[],"missing":[{"asset":"btcusdt","reason":"No price known now"}]}',
        b'{"prices":[' + PRICE + b"," + PRICE + b'],"missing":[]}',
        b'{"prices":[' + ZERO + b'],"missing":[]}',
        NULL,
    ],
)
def test_a_wrong_list(body: bytes) -> None:
    """A wrong list: too few, missing, too many, a zero price, or no list."""
    assert checks.prices(body, ["btcusdt"])


@pytest.mark.parametrize(
    "body",
    [
        b'{"asset":"btcusdt","prices":[]}',
        b'{"asset":"ethusdt","prices":[{"price":1,"timestamp":1}]}',
        b'{"asset":"btcusdt","prices":[{"price":1,"timestamp":1},{"price":1,"timestamp":2}]}',
        b'{"asset":"btcusdt","prices":[{"price":0,"timestamp":1}]}',
        NULL,
    ],
)
def test_a_wrong_history(body: bytes) -> None:
    """A wrong history: empty, another asset, oldest first, a zero price, or no list."""
    assert checks.history(body, "btcusdt")


def test_no_sources() -> None:
    """A price without sources is wrong."""
    assert checks.sources(b'{"asset":"btcusdt","price":1,"sources":[]}', "btcusdt")
    assert checks.sources(PRICE, "btcusdt")  # a number in the price's body, a list at /sources


@pytest.mark.parametrize("body", [b'{"msg":"No such path"}', b"Not Found", NULL])
def test_a_404_for_another_reason(body: bytes) -> None:
    """A 404 of a missing route or of a proxy is wrong."""
    assert checks.unknown(body)
