"""Transfer codings that nothing here decodes: refused before the body is read. White space behind values of headers."""

from pathlib import Path

import pytest

from aggregator.api.access.policy import Hosts, Origins, Policy
from tests.parts.examples import price
from tests.parts.ingest_api import array, ingesting, line
from tests.parts.price_api import PriceApi

UNKNOWN = ["gzip, chunked", "gzip", "identity", "chunked, chunked", "x chunked"]


@pytest.mark.parametrize("coding", UNKNOWN)
async def test_a_read(coding: str) -> None:
    """400, and the connection ends: where the body ends is not known."""
    answer = await PriceApi([price()]).get("/prices/btcusdt", transfer_encoding=coding)
    assert (answer.status, answer.json["code"]) == (400, "invalid_request")
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("coding", UNKNOWN)
async def test_a_post(coding: str, tmp_path: Path) -> None:
    """Nothing of the body is taken."""
    async with ingesting(tmp_path) as api:
        answer = await api.post(array(2), transfer_encoding=coding)
        assert (answer.status, answer.json["code"]) == (400, "invalid_request")
        assert not await api.store.ids()


@pytest.mark.parametrize("coding", ["chunked", "Chunked", "chunked "])
async def test_chunked(coding: str, tmp_path: Path) -> None:
    """The parser decodes it, in any case and with white space behind it."""
    async with ingesting(tmp_path) as api:
        assert (await api.post(line(1), transfer_encoding=coding)).status == 200


@pytest.mark.parametrize("length", ["5", "5 ", "5\t"])
async def test_white_space_behind_a_length(length: str) -> None:
    """It is no part of the value; the parser keeps it."""
    assert (await PriceApi([price()]).get("/prices/btcusdt", content_length=length)).status == 200


@pytest.mark.parametrize("space", [" ", "\t", " \t "])
async def test_white_space_behind_any_value(space: str, tmp_path: Path) -> None:
    """The host, the origin and the coding of the content are those without it."""
    ours = "https://ours.example"
    async with ingesting(tmp_path, Policy(Hosts(["ours.example"]), Origins([ours]))) as api:
        headers = {"host": f"ours.example{space}", "origin": ours + space, "content_encoding": f"identity{space}"}
        answer = await api.post(array(1), **headers)
        assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, ours)
