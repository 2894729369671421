"""POST /ingest: sizes, lines in parts, partial success, dead letters, repeated requests."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.models import Trade
from aggregator.trades.ports import NotAppended, Receipt
from tests.parts.ingest_api import (
    JSON,
    LINES,
    PATIENT,
    PROTOBUF,
    array,
    counts,
    crashes,
    ingesting,
    line,
    lines,
    of_count,
    post,
    record,
)

TYPES = (JSON, LINES, PROTOBUF)
LONG = 100_000 if os.environ.get("CHAOS") == "full" else 20_000  # lines


@pytest.mark.parametrize("content_type", TYPES)
@pytest.mark.parametrize("count", [1, 499, 500, 1000])
async def test_a_body_of_trades(tmp_path: Path, count: int, content_type: str) -> None:
    """All are stored when the answer comes; sent again, all are duplicates and none is stored twice."""
    body = of_count(count, content_type)
    async with ingesting(tmp_path) as api:
        first = await api.post(body, content_type)
        assert first.status == 200, first.text
        assert first.json["message"] == "Stored: Success"
        assert counts(first) == (count, 0, 0)
        assert len(await api.store.ids()) == count
        assert counts(await api.post(body, content_type)) == (0, count, 0)
        assert len(await api.store.ids()) == count


@pytest.mark.parametrize("content_type", [JSON, PROTOBUF])
async def test_a_body_of_too_many_trades(tmp_path: Path, content_type: str) -> None:
    """1,001 trades are refused as a whole: none is stored, and none is a dead letter."""
    async with ingesting(tmp_path) as api:
        answer = await api.post(of_count(1001, content_type), content_type)
        assert (answer.status, answer.json["code"]) == (413, "body_too_large")
        assert await api.store.ids() == []
        assert await api.letters() == []


async def test_any_number_of_lines(tmp_path: Path) -> None:
    """Lines have no such bound."""
    async with ingesting(tmp_path) as api:
        assert counts(await api.post(of_count(1001, LINES), LINES)) == (1001, 0, 0)


async def test_one_record_and_an_array(tmp_path: Path) -> None:
    """A JSON body is one trade or an array of them; a trade twice in a body is stored once."""
    async with ingesting(tmp_path) as api:
        assert counts(await api.post(json.dumps(record(1)).encode())) == (1, 0, 0)
        assert counts(await api.post(json.dumps([record(1), record(2), record(2)]).encode())) == (1, 2, 0)
        assert await api.store.ids() == ["1", "2"]


async def test_a_log_that_cannot_deliver_is_503(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of lines in parts, the receipts of several parts fail together: each is a refusal, none is an error of ours."""
    async with ingesting(tmp_path) as api:
        receipts = [asyncio.get_running_loop().create_future() for _ in range(2)]
        waiting = iter(receipts)

        def append(_: Sequence[Trade], __: str = "") -> "asyncio.Future[Receipt]":
            return next(waiting)

        def parts() -> Iterator[bytes]:
            yield from (line(1), line(2))
            for receipt in receipts:
                receipt.set_exception(NotAppended("no broker answers"))

        monkeypatch.setattr(api.log, "append", append)  # as the log of an outage
        answer = await api.post(parts(), LINES)
    assert (answer.status, answer.json["code"], answer.json["accepted"]) == (503, "not_stored_yet", 0)


async def test_partial_success(tmp_path: Path) -> None:
    """The good records are stored; the others are listed with place, code and reason, and become dead letters."""
    bad = [record(1, asset="nosuch"), record(2, price=0), record(3, timestamp="tomorrow")]
    async with ingesting(tmp_path) as api:
        answer = await api.post(json.dumps([record(1), *bad, record(4), 7]).encode())
        assert answer.status == 200
        assert counts(answer) == (2, 0, 4)
        assert [(one["index"], one["code"]) for one in answer.json["rejected"]] == [
            (1, "asset"),
            (2, "price"),
            (3, "timestamp"),
            (5, "malformed"),
        ]
        assert all(one["reason"] for one in answer.json["rejected"])
        letters = await api.letters()
        assert [json.loads(one.raw) for one in letters] == [*bad, 7]
        assert [one.code for one in letters] == ["asset", "price", "timestamp", "malformed"]
        assert {(one.kind, one.source) for one in letters} == {("trade", "ingest")}
        assert api.metrics.registry.get_sample_value("trades_rejected_total", {"source": "ingest", "reason": "price"})


@pytest.mark.parametrize(
    ("body", "content_type", "rejected"),
    [
        (b"", JSON, 1),
        (b"[]", JSON, 0),
        (b"{", JSON, 1),
        (b"[{}, 1]", JSON, 2),
        (b"", LINES, 0),
        (b"\n\r\n", LINES, 0),
        (b"{}\nx\n", LINES, 2),
        (b"", PROTOBUF, 1),
        (b"\x0b", PROTOBUF, 1),
    ],
)
async def test_no_record_is_a_trade(tmp_path: Path, body: bytes, content_type: str, rejected: int) -> None:
    """400, with what was rejected."""
    async with ingesting(tmp_path) as api:
        answer = await api.post(body, content_type)
        assert (answer.status, answer.json["code"]) == (400, "no_valid_trade")
        assert counts(answer) == (0, 0, rejected)
        assert len(await api.letters()) == rejected


async def test_a_long_list_of_rejected_records(tmp_path: Path) -> None:
    """The answer lists a thousand of them, and counts all."""
    async with ingesting(tmp_path) as api:
        answer = await api.post([b"{}\n" * 700, b"x\n" * 700, line(1)], LINES)
        assert counts(answer) == (1, 0, 1400)
        assert [one["index"] for one in answer.json["rejected"]] == list(range(1000))


MIXED = b"".join(
    [
        line("ü"),
        b"\n",
        line("€uro").replace(b"\n", b"\r\n"),
        b"\r\n",
        b'{"id": "\xff"}\n',
        line("😀"),
        b"{}\n",
        line("ü"),
        b"  \n",
        "nö json\n".encode(),
        line("last").removesuffix(b"\n"),
    ]
)


@settings(max_examples=15)
@given(st.lists(st.integers(0, len(MIXED)), max_size=12))
async def test_lines_cut_anywhere(tmp_path_factory: pytest.TempPathFactory, places: Sequence[int]) -> None:
    """However the parts of a body are cut, also inside a character or a line end, the outcome is the same."""
    await assert_cut(tmp_path_factory.mktemp("cut"), sorted(places))


async def test_lines_byte_by_byte(tmp_path: Path) -> None:
    """A body may come a byte at a time."""
    await assert_cut(tmp_path, range(len(MIXED)))


async def assert_cut(folder: Path, places: Sequence[int]) -> None:
    """Assert the outcome of MIXED, cut at these places."""
    ends = [*places, len(MIXED)]
    parts = [MIXED[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    async with ingesting(folder) as api:
        answer = await api.post(parts, LINES)
        assert counts(answer) == (4, 1, 3)
        assert [one["index"] for one in answer.json["rejected"]] == [2, 4, 6]
        assert await api.store.ids() == sorted(["ü", "€uro", "😀", "last"])


async def test_many_lines(tmp_path: Path) -> None:
    """They are read as fast as they are stored: while nothing can be stored, a few parts are read and no more."""
    sent = 0

    async def parts() -> AsyncIterator[bytes]:
        nonlocal sent
        for first in range(0, LONG, 500):
            yield lines(first, first + 500)
            sent += 500
            await asyncio.sleep(0)

    async with ingesting(tmp_path, most=2000) as api:
        api.store.gate.clear()
        calling = asyncio.create_task(post(api.app, parts(), LINES, {}))
        async with asyncio.timeout(PATIENT):
            while api.log.backlog.trades < 2000:
                await asyncio.sleep(0.01)
        await asyncio.wait([calling], timeout=0.2)
        assert sent <= 10 * 500  # those in the backlog, and a part or two
        api.store.gate.set()
        async with asyncio.timeout(PATIENT):
            answer = await calling
        assert counts(answer) == (LONG, 0, 0)
        assert len(await api.store.ids()) == LONG


async def test_a_client_that_leaves(tmp_path: Path) -> None:
    """The whole lines that it has sent before are stored; the part of a line is no dead letter."""

    async def parts() -> AsyncIterator[bytes]:
        yield lines(0, 3) + line(3)[:20]
        raise ConnectionResetError

    async with ingesting(tmp_path) as api:
        await post(api.app, parts(), LINES, {})
        assert crashes(api) == 0
        await api.processor.drain(PATIENT)
        assert await api.store.ids() == ["0", "1", "2"]
        assert counts(await api.post(lines(0, 4), LINES)) == (1, 3, 0)
        assert await api.letters() == []


async def test_a_client_that_leaves_a_body(tmp_path: Path) -> None:
    """Of a JSON body that does not come as a whole nothing is stored."""

    async def parts() -> AsyncIterator[bytes]:
        yield array(5)
        raise ConnectionResetError

    async with ingesting(tmp_path) as api:
        await post(api.app, parts(), JSON, {})
        assert crashes(api) == 0
        assert (api.log.backlog.trades, await api.store.ids()) == (0, [])


async def test_a_client_that_leaves_while_its_trades_are_stored(tmp_path: Path) -> None:
    """The trades are stored all the same, and the next client gets its answer."""
    async with ingesting(tmp_path) as api:
        api.store.gate.clear()
        leaving = asyncio.create_task(api.post(lines(0, 3), LINES))
        async with asyncio.timeout(PATIENT):
            while not api.log.backlog.trades:
                await asyncio.sleep(0.01)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        staying = asyncio.create_task(api.post(lines(2, 5), LINES))
        await asyncio.sleep(0)
        api.store.gate.set()
        async with asyncio.timeout(PATIENT):
            assert counts(await staying) == (2, 1, 0)


async def test_requests_at_once(tmp_path: Path) -> None:
    """Of twenty clients that send the same trades, each trade is new to one of them."""
    async with ingesting(tmp_path) as api:
        answers: list[Any] = await asyncio.gather(*(api.post(array(50)) for _ in range(20)))
        assert sum(counts(one)[0] for one in answers) == 50
        assert sum(counts(one)[1] for one in answers) == 950
