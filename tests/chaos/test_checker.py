"""The checker of chaos runs sees each violation, and none in a record that is right."""

from decimal import Decimal

import pytest

from mock_exchange.symbols import open_market
from tests.chaos import checker
from tests.chaos.checker import AFTER, Elsewhere
from tests.chaos.recorder import PUBLISHED, STORED, Ended, Fault, Record, Reply, Seen
from tests.chaos.truth import Truth
from tests.parts.exchanges import NAMES
from tests.parts.process import ROOT

NOW = 1_795_000_000.0
PRICE = Decimal("65000.1")


def seen(
    timestamp: float,
    sent: float,
    received: float | None = None,
    *,
    kind: str = "one",
    server: str = "api-1:17",
    connection: int = 1,
    asset: str = "btcusdt",
    price: Decimal = PRICE,
) -> Seen:
    """Return a price with a timestamp so many seconds after NOW, asked for and received so many after it."""
    received = sent + 0.01 if received is None else received
    return Seen("reader", server, connection, kind, NOW + sent, NOW + received, asset, price, NOW + timestamp)


def reply(status: int, request: str = "GET /prices/btcusdt", *, at: float = 0.0, retry_after: bool = True) -> Reply:
    """Return an answer with that status."""
    return Reply("reader", "api-1", "api-1:17", request, NOW + at, NOW + at + 0.01, status, retry_after)


class TestBackInTime:
    """One process never shows an older price after a newer one."""

    def test_what_is_right(self) -> None:
        """Newer, the same, another asset's, another process', what was asked for before the newer one was there."""
        assert not checker.back_in_time(
            [
                seen(0, 1, connection=1),
                seen(1, 2, connection=2),
                seen(1, 3, connection=3),
                seen(0, 4, connection=4, asset="ethusdt"),
                seen(0, 5, connection=5, server="api-2:18"),
                seen(0, 2.005, connection=6),
            ]
        )

    def test_an_older_answer(self) -> None:
        """To another client over another connection, by the same process."""
        (one,) = checker.back_in_time([seen(1, 2, connection=1), seen(0, 3, connection=2)])
        assert one.rule == "back in time"
        assert "1.000 s older" in one.what

    @pytest.mark.parametrize("kind", ["event", "snapshot"])
    def test_older_than_what_was_streamed(self, kind: str) -> None:
        """Once a stream of the process has delivered a price, the process has been told."""
        assert len(checker.back_in_time([seen(1, 0, 2, kind=kind, connection=1), seen(0, 3, connection=2)])) == 1

    def test_a_snapshot_older_than_an_answer_before_it_was_asked_for(self) -> None:
        """A stream that is opened begins with what the process knows."""
        assert len(checker.back_in_time([seen(1, 2, connection=1), seen(0, 3, kind="snapshot", connection=2)])) == 1

    def test_a_step_back_on_one_stream(self) -> None:
        """However long ago the stream was asked for, and though nobody knows which process it was."""
        events = [
            seen(1, 0, 2, kind="event", server="", connection=7),
            seen(0.5, 0, 3, kind="snapshot", server="", connection=7),
        ]
        assert len(checker.back_in_time(events)) == 1

    def test_a_stream_that_is_resumed_begins_with_what_was_missed(self) -> None:
        """Older than what others have got since; but in order."""
        resumed = [seen(time, 4, kind="event", connection=2) for time in (1, 2, 3)]
        assert not checker.back_in_time([seen(3, 0, 3.5, kind="event", connection=1), *resumed])

    def test_rows_of_history_are_no_current_prices(self) -> None:
        """Nor is what Redis publishes an answer."""
        assert not checker.back_in_time(
            [seen(1, 2), seen(0, 3, kind=STORED), seen(0, 3, kind=PUBLISHED, server="redis")]
        )


def test_older_than_at_another_process_is_counted() -> None:
    """With the worst distance, and the latest moment."""
    found = checker.elsewhere(
        [
            seen(3, 1, server="api-2:18"),
            seen(0, 2, 2.5),
            seen(2, 3, 3.25, connection=2),
            seen(3, 4),
            seen(1, 5, kind="event"),
        ]
    )
    assert (found.count, found.seconds) == (2, 3)
    assert found.late == pytest.approx(3.25 - 1.01)
    assert checker.elsewhere([seen(0, 1), seen(1, 2)]) == Elsewhere()


class TestHistory:
    """What was shown can be found again."""

    def test_what_is_held(self) -> None:
        """Once is enough, for however many have seen it."""
        assert not checker.not_in_history([seen(1, 2), seen(1, 3)], {("btcusdt", NOW + 1): PRICE})

    @pytest.mark.parametrize("kind", ["one", "event", PUBLISHED, STORED])
    def test_what_is_lost(self, kind: str) -> None:
        """Each once, wherever it was shown."""
        (one,) = checker.not_in_history([seen(1, 2, kind=kind), seen(1, 3)], {("btcusdt", NOW + 2): PRICE})
        assert one.rule == "lost"

    def test_what_was_replaced(self) -> None:
        """Another price of the same time in its place."""
        (one,) = checker.not_in_history([seen(1, 2)], {("btcusdt", NOW + 1): PRICE + 1})
        assert one.rule == "replaced"


class TestReplies:
    """A status is in order, or it is not, by what is broken at the time."""

    REDIS = Fault("gone", "redis", NOW, NOW + 1)
    KILLED = Fault("killed", "api-1", NOW, NOW + 1)
    REFRESH = "POST /refresh/btcusdt"

    @pytest.mark.parametrize(
        "one",
        [
            reply(200, at=99),
            reply(304, at=99),
            reply(429, REFRESH, at=99),
            reply(503, at=0.5),
            reply(503, at=AFTER),
            reply(502, REFRESH, at=0.5),
        ],
    )
    def test_what_is_right(self, one: Reply) -> None:
        """Refusals with Retry-After while a fault is on, or shortly after."""
        assert not checker.bad_replies([one], [self.REDIS])

    @pytest.mark.parametrize(
        "one",
        [
            reply(500, at=0.5),
            reply(404, at=0.5),
            reply(503, at=99),
            reply(503, at=0.5, retry_after=False),
            reply(502, at=0.5),
            reply(502, REFRESH, at=99),
            reply(429, at=0.5),
            reply(429, REFRESH, retry_after=False),
            reply(0, at=0.5),
        ],
    )
    def test_what_is_wrong(self, one: Reply) -> None:
        """Each of them alone."""
        assert len(checker.bad_replies([one], [self.REDIS])) == 1

    def test_no_answer(self) -> None:
        """From a process that was killed, and from no other."""
        assert not checker.bad_replies([reply(0, at=0.5)], [self.KILLED])
        other = Fault("killed", "api-2", NOW, NOW + 1)
        assert len(checker.bad_replies([reply(0, at=0.5)], [other])) == 1


def test_a_process_that_ended_by_itself() -> None:
    """With its last words."""
    (one,) = checker.ended(Record(ended=[Ended("api-1", NOW, 1, "no more")]))
    assert "api-1 ended by itself with 1: no more" in one.what


def test_an_untrue_price() -> None:
    """Outside of what any venue had."""
    truth = Truth(open_market(0, ROOT / "symbols.csv"), NAMES, {})
    honest = truth.market.venue_ticker("exchange1", "btcusdt", NOW).price
    assert not checker.untrue([seen(0, 1, price=honest)], truth, {"btcusdt": 2.0})
    (one,) = checker.untrue([seen(0, 1, price=3 * honest)], truth, {"btcusdt": 2.0})
    assert one.rule == "untrue"


def test_a_summary_names_the_first_of_each_rule() -> None:
    """With how many there are."""
    many = checker.not_in_history([seen(number, 50) for number in range(9)], {})
    said = checker.summed_up(many)
    assert said.startswith("lost: 9\n")
    assert len(said.splitlines()) == 6
