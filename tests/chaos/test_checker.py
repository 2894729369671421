"""The checker finds each kind of violation, and none in a correct record."""

from decimal import Decimal

import pytest

from mock_exchange.symbols import open_market
from tests.chaos import checker
from tests.chaos.checker import AFTER, CrossProcessLag
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
    """Return a price; timestamp, request and receipt are seconds after NOW."""
    received = sent + 0.01 if received is None else received
    return Seen("reader", server, connection, kind, NOW + sent, NOW + received, asset, price, NOW + timestamp)


def reply(status: int, request: str = "GET /prices/btcusdt", *, at: float = 0.0, retry_after: bool = True) -> Reply:
    """Return a reply with this status."""
    return Reply("reader", "api-1", "api-1:17", request, NOW + at, NOW + at + 0.01, status, retry_after)


class TestBackInTime:
    """Rule 1: a process never shows an older price after a newer one."""

    def test_allowed_orders_are_no_violation(self) -> None:
        """Allowed: a newer or equal price, another asset or process, a request sent before the newer price arrived."""
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
        """An older answer by the same process is a violation, whichever client and connection received it."""
        (one,) = checker.back_in_time([seen(1, 2, connection=1), seen(0, 3, connection=2)])
        assert one.rule == "back in time"
        assert "1.000 s older" in one.what

    @pytest.mark.parametrize("kind", ["event", "snapshot"])
    def test_an_answer_older_than_a_streamed_price_is_a_violation(self, kind: str) -> None:
        """An answer older than what a stream of the same process has delivered is a violation."""
        assert len(checker.back_in_time([seen(1, 0, 2, kind=kind, connection=1), seen(0, 3, connection=2)])) == 1

    def test_a_snapshot_older_than_an_answer_before_it_was_asked_for(self) -> None:
        """A stream whose snapshot is older than an earlier answer of the process is a violation."""
        assert len(checker.back_in_time([seen(1, 2, connection=1), seen(0, 3, kind="snapshot", connection=2)])) == 1

    def test_a_step_back_on_one_stream(self) -> None:
        """An older event on the same stream is a violation, even when the process is unknown."""
        events = [
            seen(1, 0, 2, kind="event", server="", connection=7),
            seen(0.5, 0, 3, kind="snapshot", server="", connection=7),
        ]
        assert len(checker.back_in_time(events)) == 1

    def test_a_stream_that_is_resumed_begins_with_what_was_missed(self) -> None:
        """A resumed stream may start with events older than other clients' prices, as long as they are in order."""
        resumed = [seen(time, 4, kind="event", connection=2) for time in (1, 2, 3)]
        assert not checker.back_in_time([seen(3, 0, 3.5, kind="event", connection=1), *resumed])

    def test_rows_of_history_are_no_current_prices(self) -> None:
        """Rows of history and Redis' publications are not answers with a current price."""
        assert not checker.back_in_time(
            [seen(1, 2), seen(0, 3, kind=STORED), seen(0, 3, kind=PUBLISHED, server="redis")]
        )


def test_answers_older_than_the_price_of_another_process_are_counted() -> None:
    """Answers older than another process' price are counted, with the largest distance and the latest moment."""
    found = checker.cross_process_lag(
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
    assert checker.cross_process_lag([seen(0, 1), seen(1, 2)]) == CrossProcessLag()


class TestHistory:
    """Rule 2: every price that was shown is in history."""

    def test_a_stored_price_is_no_violation(self) -> None:
        """One stored price is enough for any number of clients that received it."""
        assert not checker.not_in_history([seen(1, 2), seen(1, 3)], {("btcusdt", NOW + 1): PRICE})

    @pytest.mark.parametrize("kind", ["one", "event", PUBLISHED, STORED])
    def test_a_price_missing_in_history_is_reported_once(self, kind: str) -> None:
        """A price missing in history is reported once, however often it was shown."""
        (one,) = checker.not_in_history([seen(1, 2, kind=kind), seen(1, 3)], {("btcusdt", NOW + 2): PRICE})
        assert one.rule == "lost"

    def test_another_value_in_history_is_reported(self) -> None:
        """Another value for the same timestamp is reported as replaced."""
        (one,) = checker.not_in_history([seen(1, 2)], {("btcusdt", NOW + 1): PRICE + 1})
        assert one.rule == "replaced"


class TestReplies:
    """Rule 3: whether a status is allowed depends on the faults of that time."""

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
    def test_refusals_during_a_fault_are_allowed(self, one: Reply) -> None:
        """Refusals with Retry-After are allowed during a fault and shortly after it."""
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
    def test_each_wrong_reply_is_a_violation(self, one: Reply) -> None:
        """Each of these replies alone is a violation."""
        assert len(checker.bad_replies([one], [self.REDIS])) == 1

    def test_no_answer(self) -> None:
        """No answer is allowed from a killed process only."""
        assert not checker.bad_replies([reply(0, at=0.5)], [self.KILLED])
        other = Fault("killed", "api-2", NOW, NOW + 1)
        assert len(checker.bad_replies([reply(0, at=0.5)], [other])) == 1


def test_a_process_that_ended_by_itself() -> None:
    """A process that ended by itself is reported with the end of its output."""
    (one,) = checker.ended(Record(ended=[Ended("api-1", NOW, 1, "no more")]))
    assert "api-1 ended by itself with 1: no more" in one.what


def test_an_untrue_price() -> None:
    """A price outside the venues' range is reported."""
    truth = Truth(open_market(0, ROOT / "symbols.csv"), NAMES, {})
    honest = truth.market.venue_ticker("exchange1", "btcusdt", NOW).price
    assert not checker.untrue([seen(0, 1, price=honest)], truth, {"btcusdt": 2.0})
    (one,) = checker.untrue([seen(0, 1, price=3 * honest)], truth, {"btcusdt": 2.0})
    assert one.rule == "untrue"


def test_a_summary_names_the_first_of_each_rule() -> None:
    """The summary has the count and the first violations of each rule."""
    many = checker.not_in_history([seen(number, 50) for number in range(9)], {})
    said = checker.summed_up(many)
    assert said.startswith("lost: 9\n")
    assert len(said.splitlines()) == 6
