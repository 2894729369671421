"""Decides when enough exchanges have answered to make a price. Pure: answers and times are arguments.

    asked -> a majority has answered, with enough tickers -> all have answered, or the grace is over -> settled

Where the grace is over and the answers make no price, because their tickers disagree, the asset stays open, and the
next answer begins another grace: an exchange that answers fast and wrong must not end the wait for a slow one.

Assets are settled one by one: an asset that only the slowest exchange lists does not delay the others of its batch.
"""

from collections.abc import Callable, Mapping, Sequence

from aggregator.models import Asset, LeftOut, Reason, Ticker

Answers = dict[str, Ticker | LeftOut]  # by exchange


class Quorum:
    """One round of requests for `assets` to all `exchanges`. A price needs `need` tickers; times are in seconds.

    `makes_price` returns whether answers make a price. It is called at the end of a grace, which is rare.
    """

    def __init__(
        self,
        assets: Sequence[Asset],
        exchanges: Sequence[str],
        need: int,
        grace: float,
        makes_price: Callable[[Asset, Sequence[Ticker | LeftOut]], bool] = lambda _asset, _answers: True,
    ) -> None:
        self._exchanges = exchanges
        self._need = max(1, need)
        self._grace = grace
        self._makes_price = makes_price
        self._open: dict[str, tuple[Asset, Answers]] = {asset.symbol: (asset, {}) for asset in assets}
        self._grace_ends: dict[str, float] = {}

    @property
    def open(self) -> bool:
        """Whether an asset is not settled yet."""
        return bool(self._open)

    @property
    def next_end(self) -> float | None:
        """The end of the first grace period; None while none has begun."""
        return min(self._grace_ends.values(), default=None)

    def record(self, exchange: str, answers: Mapping[str, Ticker | LeftOut], now: float) -> None:
        """Record the answers of an exchange, by symbol; answers for settled assets are ignored."""
        for symbol, answer in answers.items():
            waiting = self._open.get(symbol)
            if waiting is None:
                continue
            received = waiting[1]
            received[exchange] = answer
            if len(received) == len(self._exchanges):
                self._grace_ends[symbol] = now
            elif symbol not in self._grace_ends and self._is_enough(received):
                self._grace_ends[symbol] = now + self._grace

    def settle(self, now: float) -> list[tuple[Asset, list[Ticker | LeftOut]]]:
        """Return and forget the assets whose grace is over, with one answer per exchange: LATE where it has none.

        An asset whose answers make no price stays open as long as an exchange has not answered.
        """
        settled = []
        for symbol in [symbol for symbol, end in self._grace_ends.items() if end <= now]:
            del self._grace_ends[symbol]
            asset, received = self._open[symbol]
            answers = self._all_answers(received)
            if len(received) == len(self._exchanges) or self._makes_price(asset, answers):
                del self._open[symbol]
                settled.append((asset, answers))
        return settled

    def _is_enough(self, received: Answers) -> bool:
        """Whether a majority of the exchanges that list the asset has answered, with enough tickers for a price.

        Failures alone start no grace period. Exchanges that do not list the asset answer at once and do not count.
        """
        unlisted = sum(isinstance(one, LeftOut) and one.reason is Reason.NOT_LISTED for one in received.values())
        majority = (len(self._exchanges) - unlisted) // 2 + 1
        tickers = sum(isinstance(one, Ticker) for one in received.values())
        return len(received) - unlisted >= majority and tickers >= self._need

    def _all_answers(self, received: Answers) -> list[Ticker | LeftOut]:
        return [received.get(name) or self._late(name) for name in self._exchanges]

    def _late(self, exchange: str) -> LeftOut:
        return LeftOut(exchange, Reason.LATE, f"not within {self._grace:g} s of the majority")
