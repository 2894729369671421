"""The receipts of the appends of a micro-batch. Pure."""

from collections.abc import Sequence
from itertools import islice

from aggregator.models import Trade, trade_key
from aggregator.trades.ports import Appended, Receipt


def receipts_of(batch: Sequence[Appended], trades: Sequence[Trade], new: Sequence[Trade]) -> list[Receipt]:
    """Return the receipt of each append. `trades` are those of the whole batch, `new` those that were not stored."""
    if len(new) == len(trades):
        return [Receipt(len(appended.trades), 0) for appended in batch]
    left = {(trade.asset, *trade_key(trade)) for trade in new}
    receipts, place = [], iter(trades)
    for appended in batch:
        accepted = 0
        for trade in islice(place, len(appended.trades)):
            key = (trade.asset, *trade_key(trade))
            if key in left:
                left.discard(key)  # the same trade again is a duplicate
                accepted += 1
        receipts.append(Receipt(accepted, len(appended.trades) - accepted))
    return receipts
