"""The last trades of one venue, in bounded memory, for clients that fill a gap."""

from collections import deque
from collections.abc import Iterable

from .trades import Trade

MOST_OF_SYMBOL = 1000
MOST_KEPT = 100_000  # of all symbols; about 25 MB


class RecentTrades:
    """The last 1,000 trades of each symbol, of at most the last 100,000 of all symbols; kept as JSON."""

    def __init__(self) -> None:
        self._by_symbol: dict[str, deque[tuple[int, str]]] = {}  # id and JSON
        self._order: deque[tuple[int, str]] = deque()  # id and symbol

    def add(self, trade: Trade, text: str) -> None:
        """Keep a trade and its JSON. Its id is larger than those of earlier trades."""
        self._by_symbol.setdefault(trade.symbol, deque(maxlen=MOST_OF_SYMBOL)).append((trade.id, text))
        self._order.append((trade.id, trade.symbol))
        if len(self._order) > MOST_KEPT:
            self._forget(*self._order.popleft())

    def json(self, symbols: Iterable[str], limit: int) -> bytes:
        """Return `{"trades":[…]}`: the last `limit` trades of each symbol, all of them oldest first."""
        found = [one for symbol in symbols for one in list(self._by_symbol.get(symbol, ()))[-limit:]]
        return f'{{"trades":[{",".join(text for _, text in sorted(found))}]}}'.encode()

    def _forget(self, oldest: int, symbol: str) -> None:
        """Remove the trade with this id, unless newer ones of its symbol have displaced it."""
        kept = self._by_symbol[symbol]
        if kept and kept[0][0] == oldest:
            kept.popleft()
