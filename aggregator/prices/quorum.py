"""When a round of questions has been answered well enough. Pure: it is told what was answered, and when.

    asked -> a majority has answered and a price can be made -> the grace is over, or all have answered -> settled

Each asset by itself: one that only the slowest exchange lists does not hold up the others of its batch.
"""

from collections.abc import Mapping, Sequence

from aggregator.models import Asset, LeftOut, Reason, Ticker

Answers = dict[str, Ticker | LeftOut]  # by exchange


class Quorum:
    """One round: `assets` asked for at all of `exchanges`. `need` tickers make a price; times are in seconds."""

    def __init__(self, assets: Sequence[Asset], exchanges: Sequence[str], need: int, grace: float) -> None:
        self._exchanges = exchanges
        self._need = max(1, need)
        self._grace = grace
        self._open: dict[str, tuple[Asset, Answers]] = {asset.symbol: (asset, {}) for asset in assets}
        self._grace_ends: dict[str, float] = {}

    @property
    def open(self) -> bool:
        """Whether anybody still waits for answers."""
        return bool(self._open)

    @property
    def next_end(self) -> float | None:
        """When the first grace is over; None while none has begun."""
        return min(self._grace_ends.values(), default=None)

    def record(self, exchange: str, answers: Mapping[str, Ticker | LeftOut], now: float) -> None:
        """Take what an exchange has answered; for those already settled it is too late."""
        for symbol, answer in answers.items():
            waiting = self._open.get(symbol)
            if waiting is None:
                continue
            heard = waiting[1]
            heard[exchange] = answer
            if len(heard) == len(self._exchanges):
                self._grace_ends[symbol] = now
            elif symbol not in self._grace_ends and self._is_enough(heard):
                self._grace_ends[symbol] = now + self._grace

    def settle(self, now: float) -> list[tuple[Asset, list[Ticker | LeftOut]]]:
        """Return, and let go of, those whose grace is over; an exchange that has not answered them was late."""
        over = [symbol for symbol, end in self._grace_ends.items() if end <= now]
        for symbol in over:
            del self._grace_ends[symbol]
        return [(asset, self._all_answers(heard)) for asset, heard in map(self._open.pop, over)]

    def _is_enough(self, heard: Answers) -> bool:
        """Whether a majority of those who trade it has answered and a price can be made of that.

        Refusals alone are no reason to hurry, and who does not list the asset, which is known at once, none at all.
        """
        elsewhere = sum(isinstance(one, LeftOut) and one.reason is Reason.NOT_LISTED for one in heard.values())
        majority = (len(self._exchanges) - elsewhere) // 2 + 1
        tickers = sum(isinstance(one, Ticker) for one in heard.values())
        return len(heard) - elsewhere >= majority and tickers >= self._need

    def _all_answers(self, heard: Answers) -> list[Ticker | LeftOut]:
        return [heard.get(name) or self._late(name) for name in self._exchanges]

    def _late(self, exchange: str) -> LeftOut:
        return LeftOut(exchange, Reason.LATE, f"not within {self._grace:g} s of the majority")
