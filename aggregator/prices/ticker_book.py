"""The latest answer of each exchange for each hot asset, polled, pushed or replayed: what a push is priced with. Pure.

| held    | new answer                               | effect          |
| ------- | ---------------------------------------- | --------------- |
| nothing | any                                      | it is held      |
| any     | LATE: the exchange has not answered yet  | none            |
| ticker  | a ticker with an older time              | none            |
| any     | any other                                | it replaces it  |

A held ticker that is ahead of our clock is replaced by any ticker: else a clock that was wrong once would hide all
later tickers of the exchange until its time comes.
"""

from collections.abc import Iterable, Sequence

from aggregator.models import FUTURE_TOLERANCE, LeftOut, Reason, Ticker

Answer = Ticker | LeftOut


class TickerBook:
    """Answers by asset and exchange; `exchanges` are the names of all exchanges, in the order of the answers."""

    def __init__(self, exchanges: Sequence[str]) -> None:
        self._none = {name: LeftOut(name, Reason.LATE, "no ticker yet") for name in exchanges}
        self._held: dict[str, dict[str, Answer]] = {}

    def record(self, symbol: str, answers: Iterable[Answer], now: float) -> None:
        """Record answers about an asset; `now` is unix seconds."""
        held = self._held.get(symbol)
        if held is None:
            held = self._held[symbol] = dict[str, Answer](self._none)
        for answer in answers:
            if _replaces(answer, held.get(answer.exchange), now):
                held[answer.exchange] = answer

    def answers(self, symbol: str) -> list[Answer]:
        """Return the latest answer of every exchange: LATE where it has given none."""
        return list(self._held.get(symbol, self._none).values())


def _replaces(answer: Answer, held: Answer | None, now: float) -> bool:
    if isinstance(answer, LeftOut):
        return answer.reason is not Reason.LATE
    return not isinstance(held, Ticker) or held.timestamp > now + FUTURE_TOLERANCE or answer.timestamp >= held.timestamp
