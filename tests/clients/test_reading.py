"""The Python client without a service: reading of answers and events, errors, retries, batches of trades."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx2
import pytest
import rt_price_aggregator_client as client
from hypothesis import given
from hypothesis import strategies as st
from rt_price_aggregator_client import NewTrade, Retries
from rt_price_aggregator_client.errors import refusal_of
from rt_price_aggregator_client.ingest import MOST_BYTES, MOST_TRADES, requests
from rt_price_aggregator_client.parameters import parameters
from rt_price_aggregator_client.sse import Parser

from tests.clients.client_calls import SOME_TIME, scripted

NO_WAIT = Retries(first_wait=0.0)
QUOTE = (
    '{"asset":"btcusdt","price":77896.492450,"volume":null,"timestamp":%s,"venue":"v","id":"1","side":null,'
    '"sequence_number":null}'
)
STREAM = (
    b"retry: 1000\nevent: snapshot\ndata: {}\nid: a-1\n\n: still here\n\nevent: price\r\ndata: 1\r\nid: a-2\r\n\r\n"
    b"event:price\rdata:x\rdata:y\rid:a-3\r\rdata: \xe2\x82\xac\n\nid: a-4\n\n"
)
EVENTS = [
    ("snapshot", b"{}", "a-1"),
    ("price", b"1", "a-2"),
    ("price", b"x\ny", "a-3"),
    ("message", "€".encode(), "a-3"),
]


@given(st.lists(st.integers(1, len(STREAM)), max_size=12))
def test_events_however_they_are_cut(places: list[int]) -> None:
    """The parser finds the same events wherever the network cuts the bytes, with all three line ends."""
    parser, found, begin = Parser(), [], 0
    for end in [*sorted(places), len(STREAM)]:
        found += parser.feed(STREAM[begin:end])
        begin = max(begin, end)
    assert [tuple(event) for event in found] == EVENTS
    assert (parser.last_id, parser.retry) == ("a-4", 1.0)


@given(st.integers(1_000_000_000_000_000, 4_000_000_000_000_000))
def test_times_and_decimals_are_exact(microseconds: int) -> None:
    """A time in unix seconds is a datetime to the microsecond; a price keeps every digit."""
    seconds, rest = divmod(microseconds, 1_000_000)
    body = QUOTE % f"{seconds}.{rest:06}"
    quote = scripted(httpx2.Response(200, text=body)).quote("btcusdt")
    assert quote.timestamp == datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=rest)
    assert (str(quote.price), quote.volume) == ("77896.492450", None)


def test_an_answer_of_a_newer_service() -> None:
    """A new field, or a new value of an enumeration, is no error."""
    body = json.loads(QUOTE % 1.5) | {"new": 1, "side": "both"}
    assert scripted(httpx2.Response(200, json=body)).quote("btcusdt").side == "both"


@pytest.mark.parametrize("body", [b"<html>", b'{"asset":"caf\xe9"}', b'{"asset":"btcusdt"}', b""])
def test_an_answer_of_another_program(body: bytes) -> None:
    """It is an error of this package, also where it is JSON in another encoding."""
    with pytest.raises(client.InvalidAnswer, match="no Quote"):
        scripted(httpx2.Response(200, content=body)).quote("btcusdt")


@pytest.mark.parametrize("name", [b"price", b"snapshot", b"of a newer service"])
@pytest.mark.parametrize("data", [b"<html>", b'{"prices":[{"asset":"caf\xe9"}],"asset":"caf\xe9"}'])
def test_a_stream_of_another_program(name: bytes, data: bytes) -> None:
    """It is an error of this package, too."""
    events = scripted(httpx2.Response(200, content=b"event: %b\ndata: %b\n\n" % (name, data))).stream()
    with pytest.raises(client.InvalidAnswer, match=r"^no "):
        next(events)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, client.BadRequest),
        (401, client.Unauthorized),
        (403, client.Forbidden),
        (404, client.NotFound),
        (409, client.Conflict),
        (415, client.BadRequest),
        (429, client.RateLimited),
        (501, client.SwitchedOff),
        (502, client.NoNewPrice),
        (503, client.Unavailable),
        (504, client.ServerError),
    ],
)
def test_an_error_by_its_status(status: int, kind: type[client.Refused]) -> None:
    """It has msg, code, near and the seconds to wait."""
    body = b'{"msg":"No","code":"no_price","near":["btcusdt"],"left_out":[{"exchange":"e","reason":"late"}]}'
    error = refusal_of(status, {"Retry-After": "3", "X-Request-ID": "r"}, body)
    assert type(error) is kind
    assert (error.msg, error.code, error.near, error.retry_after) == ("No", "no_price", ["btcusdt"], 3.0)
    assert (error.left_out[0].reason, error.request_id, str(error)) == ("late", "r", f"{status} no_price: No")


def test_an_error_of_a_proxy() -> None:
    """A page instead of the service's body is the message."""
    error = refusal_of(502, {}, b"<h1>Bad gateway</h1>")
    assert (type(error), error.code, error.msg) == (client.ServerError, "", "<h1>Bad gateway</h1>")
    assert refusal_of(504, {}, b'{"msg":"caf\xe9"}').msg == '{"msg":"caf\ufffd"}'


def test_a_passing_failure_is_tried_again() -> None:
    """A lost connection, a 503 and a 429: the call succeeds in the end."""
    sent: list[httpx2.Request] = []
    answers: list[httpx2.Response | Exception] = [
        httpx2.ConnectError("refused"),
        httpx2.Response(503, json={"msg": "Later", "code": "overloaded"}, headers={"Retry-After": "0"}),
        httpx2.Response(429, json={"msg": "Later", "code": "refreshed_too_often"}, headers={"Retry-After": "0"}),
        httpx2.Response(200, text=QUOTE % 1),
    ]
    assert scripted(*answers, sent=sent, retries=NO_WAIT).quote("btcusdt").asset == "btcusdt"
    assert len(sent) == 4


@pytest.mark.parametrize(
    "answer",
    [
        httpx2.Response(404, json={"msg": "None", "code": "no_trade"}),
        httpx2.Response(501, json={"msg": "Off", "code": "trades_off"}),
        httpx2.Response(429, json={"msg": "Stop", "code": "too_many_invalid_keys"}, headers={"Retry-After": "0"}),
        httpx2.Response(503, json={"msg": "Long", "code": "overloaded"}, headers={"Retry-After": "31"}),
    ],
)
def test_a_lasting_failure_is_raised_at_once(answer: httpx2.Response) -> None:
    """Also a wait that is longer than the policy allows."""
    with pytest.raises(client.Refused) as raised:
        scripted(answer, retries=NO_WAIT).quote("btcusdt")
    assert raised.value.status == answer.status_code


def test_a_key_from_a_file() -> None:
    """It is sent without its line end. One with a line end inside is an error that does not show it."""
    sent: list[httpx2.Request] = []
    scripted(httpx2.Response(200, text=QUOTE % 1), sent=sent, api_key="secret\n").quote("btcusdt")
    assert sent[0].headers["Authorization"] == "Bearer secret"
    with pytest.raises(ValueError, match=r"no header may have$"):
        scripted(api_key="secret\nsecret")


def test_a_rule_is_deleted_with_one_call() -> None:
    """A call that is not repeatable is sent once."""
    with pytest.raises(client.ConnectionFailed, match=r"^http://[a-z.:0-9]+: ConnectError: refused$"):
        scripted(httpx2.ConnectError("refused"), retries=NO_WAIT).delete_alert_rule("x")


def test_a_rule_is_sent_again() -> None:
    """The service keeps a rule once, and answers with the one that it has."""
    rule = {"id": "x", "created_at": 1.0, "asset": "btcusdt", "kind": "price", "above": 1, "cooldown": 60}
    found = scripted(httpx2.ConnectError("refused"), httpx2.Response(200, json=rule), retries=NO_WAIT)
    assert found.add_alert_rule("btcusdt", "price", above=1).id == "x"


def test_the_last_failure_is_raised() -> None:
    """After all attempts; a timeout is told apart."""
    with pytest.raises(client.TimedOut):
        scripted(*[httpx2.ReadTimeout("slow")] * 4, retries=NO_WAIT).price("btcusdt")


@given(st.integers(1, 50), st.floats(0, 1))
def test_waits_are_bounded(attempt: int, random: float) -> None:
    """From half of the doubled wait to all of it, and at most the longest."""
    policy = Retries(attempts=100, jitter=lambda: random)
    full = min(30.0, 0.5 * 2.0 ** (attempt - 1))
    assert full / 2 <= policy.backoff(attempt) <= full


def test_times_need_a_zone() -> None:
    """A datetime without one is an error before anything is sent."""
    with pytest.raises(ValueError, match="needs a zone"):
        parameters(start=datetime(2026, 1, 1))  # noqa: DTZ001 - the subject of the test
    sent = parameters(a=SOME_TIME, b=SOME_TIME.date(), c=1.5, d=7, e=None, f=True, g=["x", "y"])
    assert sent == (
        ("a", "2026-11-21T06:10:27.047125+00:00"),
        ("b", "2026-11-21"),
        ("c", "1.500000"),
        ("d", "7"),
        ("f", "true"),
        ("g", "x,y"),
    )


def trade(number: int, text: str = "") -> NewTrade:
    """Return a trade whose id is its number."""
    return NewTrade(asset="btcusdt", price=Decimal("1.10"), timestamp=SOME_TIME, id=f"{number}{text}")


@pytest.mark.parametrize(("count", "length"), [(1, 0), (MOST_TRADES, 0), (2 * MOST_TRADES + 1, 0), (100, 50_000)])
def test_batches_keep_the_limits(count: int, length: int) -> None:
    """Every trade is in one batch, in order, of at most 1000 trades and 1 MB."""
    bodies = [request.body or b"" for request in requests(trade(number, "x" * length) for number in range(count))]
    batches = [json.loads(body) for body in bodies]
    assert [one["id"] for batch in batches for one in batch] == [f"{number}{'x' * length}" for number in range(count)]
    assert all(len(batch) <= MOST_TRADES for batch in batches)
    assert all(len(body) <= 1_000_000 for body in bodies)
    assert len(batches) == max(-(-count // MOST_TRADES), -(-count * length // MOST_BYTES))
    assert batches[0][0]["price"] == "1.10"


def test_rejected_trades_of_batches() -> None:
    """They are listed by their place in the whole; the error of a later batch says what was stored."""
    rejected = {"index": 1, "code": "price", "reason": "no price"}
    first = {"message": "Stored", "accepted": 999, "duplicates": 0, "rejected": [rejected], "rejected_count": 1}
    none = {
        "msg": "None",
        "code": "no_valid_trade",
        "accepted": 0,
        "duplicates": 0,
        "rejected": [rejected] * 2,
        "rejected_count": 2,
    }
    many = [trade(number) for number in range(1002)]
    total = scripted(httpx2.Response(200, json=first), httpx2.Response(400, json=none)).ingest(many)
    assert (total.accepted, total.rejected_count) == (999, 3)
    assert [one.index for one in total.rejected] == [1, 1001, 1001]
    with pytest.raises(client.NoValidTrade, match="no price") as raised:
        scripted(httpx2.Response(400, json=none)).ingest(many[:2])
    assert raised.value.ingested.rejected_count == 2
    with pytest.raises(client.SwitchedOff) as off:
        scripted(
            httpx2.Response(200, json=first), httpx2.Response(501, json={"msg": "Off", "code": "trades_off"})
        ).ingest(many)
    assert "1000 trades before" in off.value.__notes__[0]
