"""A webhook delivers events, signed, and reads the answer of the receiver by its status."""

import asyncio
import base64
import hashlib
import hmac
import re
from pathlib import Path

import msgspec
import pytest

from aggregator.outlets.address import Form, parse_outlets
from aggregator.outlets.ports import DELIVERED, OutletAway, OutletEnded, Verdict
from aggregator.outlets.receivers.webhook.signature import delivery_headers, delivery_id, secret_bytes
from aggregator.outlets.receivers.webhook.webhook import HTTPS, MOST_PAUSE, secret_of
from tests.outlets.receivers.webhook.receiving import SECRET, events, receiving, status
from tests.outlets.recording import event, running, until
from tests.parts.process import ROOT

HTTP_DATE = "Wed, 15 Nov 2023 22:13:20 GMT"  # a day after the time of the test
PAST = "Wed, 15 Nov 1995 22:13:20 GMT"
MUCH = ["31536000", HTTP_DATE, "9" * 400]
RUBBISH = ["soon", "-5", "", "\u0661\u0662"]
AGAIN = ["408 Timeout", "425 Too Early", "429 Too Many", "500 Error", "503 Unavailable", "599 Odd"]
NOW = 1_700_000_000.0


async def test_a_delivery_has_everything_and_a_signature() -> None:
    """The body is the array of the events in their order; the signature is over id, timestamp and body."""
    async with receiving(status("204 No Content"), now=lambda: NOW) as (webhook, receiver):
        assert await webhook.send(events()) == [DELIVERED, DELIVERED]
    (line, headers), body = receiver.requests[0], receiver.bodies[0]
    assert line == "POST /hook HTTP/1.1"
    assert headers["content-type"] == "application/json"
    assert msgspec.json.decode(body) == [
        {
            "topic": "prices",
            "asset": "btcusdt",
            "key": f"btcusdt-{number}",
            "timestamp": NOW + number,
            "event": {"price": "1.10"},
        }
        for number in range(2)
    ]
    signed = f"{headers['webhook-id']}.{int(NOW)}.".encode() + body
    expected = base64.b64encode(hmac.new(SECRET, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-timestamp"] == str(int(NOW))
    assert headers["webhook-signature"] == f"v1,{expected}"


async def test_the_id_stays_the_same_when_a_delivery_is_sent_again() -> None:
    """A receiver that took the delivery whose answer was lost knows it by its id; another delivery has another."""
    async with receiving(status("500 Internal Server Error")) as (webhook, receiver):
        for number in (2, 2, 1):
            with pytest.raises(OutletAway):
                await webhook.send(events(number))
    first, again, other = (headers["webhook-id"] for _, headers in receiver.requests)
    assert first == again != other


@pytest.mark.parametrize("line", ["200 OK", "201 Created", "202 Accepted", "204 No Content"])
async def test_a_status_of_success_is_a_delivery(line: str) -> None:
    """Every 2xx counts."""
    async with receiving(status(line)) as (webhook, _):
        assert await webhook.send(events(1)) == [DELIVERED]


@pytest.mark.parametrize(
    ("line", "verdict"),
    [
        *((line, Verdict.BATCH_REFUSED) for line in ("400 Bad Request", "413 Too Large", "422 Unprocessable")),
        *((line, Verdict.REFUSED) for line in ("401 Unauthorized", "404 Not Found", "302 Found")),
    ],
)
async def test_other_statuses_are_refusals(line: str, verdict: Verdict) -> None:
    """The status is the reason; of some, one of the events may be the cause. Redirects are not followed."""
    async with receiving(status(line, Location="/other")) as (webhook, receiver):
        answers = await webhook.send(events())
    assert [answer.verdict for answer in answers] == [verdict] * 2
    assert line[:3] in answers[0].reason
    assert len(receiver.requests) == 1


@pytest.mark.parametrize(
    ("line", "is_unsure"),
    [*((line, False) for line in AGAIN), ("502 Bad Gateway", True), ("504 Gateway Timeout", True)],
)
async def test_some_statuses_are_tried_again(line: str, *, is_unsure: bool) -> None:
    """A gateway's status leaves open whether the receiver has the events."""
    async with receiving(status(line)) as (webhook, _):
        with pytest.raises(OutletAway, match=line[:3]) as caught:
            await webhook.send(events())
    assert caught.value.retry_after is None
    assert caught.value.is_unsure is is_unsure


@pytest.mark.parametrize(
    ("asked", "pause"),
    [("7", 7.0), ("0", 1.0), (PAST, 1.0), *((much, MOST_PAUSE) for much in MUCH), *((one, None) for one in RUBBISH)],
)
async def test_retry_after_is_honoured_within_bounds(asked: str, pause: float | None) -> None:
    """Seconds and dates are read; a year is five minutes, and rubbish is nothing."""
    async with receiving(status("429 Too Many", Retry_After=asked), now=lambda: NOW) as (webhook, _):
        with pytest.raises(OutletAway) as caught:
            await webhook.send(events(1))
    assert caught.value.retry_after == pause


async def test_only_the_event_that_the_receiver_refuses_is_a_dead_letter(tmp_path: Path) -> None:
    """A delivery answered with 400 is sent again in halves; the order of the asset holds, and nothing arrives twice."""
    good: list[int] = []

    async def answer(writer: asyncio.StreamWriter) -> None:
        numbers = [one["event"]["number"] for one in msgspec.json.decode(receiver.bodies[-1])]
        good.extend(() if 7 in numbers else numbers)
        writer.write(status("400 Bad Request" if 7 in numbers else "204 No Content"))

    async with receiving(answer) as (webhook, receiver), running(tmp_path / "o.db", {"stdout://": webhook}) as scene:
        await scene.outbox.hand_over([event(number) for number in range(20)])
        await until(lambda: len(good) == 19)
        await until(lambda: scene.value("outlet_events_delivered_total", outlet="stdout") == 19)
        (letter,) = await scene.file.dead_letters(0, 10)
    assert good == [number for number in range(20) if number != 7]
    assert (letter.timestamp, letter.reason) == (7, "HTTP 400")


async def test_status_410_ends_the_outlet() -> None:
    """The receiver wants no more events."""
    async with receiving(status("410 Gone")) as (webhook, _):
        with pytest.raises(OutletEnded, match="410"):
            await webhook.send(events())


def test_a_secret_comes_from_the_environment_or_a_file(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address names it, and has none itself."""
    file = tmp_path_factory.mktemp("secret") / "hook"
    file.write_bytes(SECRET + b"\n")
    monkeypatch.setenv("HOOK_SECRET", "whsec_" + base64.b64encode(SECRET).decode())
    named = {name: _secret(name) for name in ("env:HOOK_SECRET", f"file:{file}")}
    assert named == dict.fromkeys(named, SECRET)
    assert _secret(None) is None


@pytest.mark.parametrize("name", ["hunter2hunter2hunter2", "env:", "env:NOT_SET_HERE", "file:/no/such/file", "file:/"])
def test_a_secret_that_is_not_there_is_refused(name: str) -> None:
    """The message names the option and not its value."""
    with pytest.raises(ValueError, match="secret of a webhook") as caught:
        _secret(name)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("text", ["short", "whsec_!!!!", "whsec_c2hvcnQ=", "x" * 600])
def test_a_weak_or_broken_secret_is_refused(text: str) -> None:
    """A secret has 16 to 512 bytes, after whsec_ in base64."""
    with pytest.raises(ValueError, match="secret of a webhook must have"):
        secret_bytes(text)


def test_without_a_secret_nothing_is_signed() -> None:
    """Id and timestamp are there nevertheless."""
    assert delivery_headers("msg_1", 1, b"[]", None).keys() == {"Content-Type", "webhook-id", "webhook-timestamp"}


def _secret(name: str | None) -> bytes | None:
    option = "" if name is None else f"?secret={name}"
    (address,) = parse_outlets(f"https://hooks.example/x{option}", {"https": Form(*HTTPS.form)})
    return secret_of(address)


def test_the_example_for_receivers_has_our_signature() -> None:
    """docs/webhooks.md verifies a delivery with the headers that we would send."""
    document = (ROOT / "docs" / "webhooks.md").read_text(encoding="utf-8")
    (body,) = re.findall(r"^body = b'(.+)'$", document, re.MULTILINE)
    (secret,) = re.findall(r'verify\(b"(.+?)"', document)
    name = delivery_id([msgspec.json.decode(body)[0]["key"]])
    headers = delivery_headers(name, int(NOW), body.encode(), secret_bytes(secret))
    shown = dict(re.findall(r'^    "(webhook-[a-z]+)": "(.+)",$', document, re.MULTILINE))
    assert shown == {field: value for field, value in headers.items() if field != "Content-Type"}
