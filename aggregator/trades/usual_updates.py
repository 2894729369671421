"""Trades of protobuf updates with obviously valid values, in a third of the time of the rules for all records. Pure."""

from collections.abc import Iterable
from decimal import Decimal
from hashlib import blake2b

from aggregator.models import Trade
from aggregator.trades.market_pb2 import MarketUpdate
from aggregator.trades.validation import LEAST_TIME, MOST_EXACT, FindAsset

_LEAST_PRICE, _TOO_LARGE_PRICE = 1e-4, 1e16  # between them, `repr` of a float has no exponent, and few digits
_HALF = 0.5
_VOLUMES = tuple(map(Decimal, range(4096)))  # shared, which saves a quarter of the memory of trades
_id_hash = blake2b(digest_size=12)  # copied for each id, which takes two thirds of the time of a new one


def usual_trades(updates: Iterable[MarketUpdate], find: FindAsset, venue: str, latest: float) -> list[Trade | None]:
    """Return a trade for each update; None for one to which the rules for all records must be applied.

    `latest` is the latest time allowed, in unix seconds. Price, time and id are those that `Parser` makes of the update
    by the other rules: see `validation.hashed_id` for the text of an id, `protobuf.seconds_of` for the rounding.
    """
    found: list[Trade | None] = []
    latest = min(latest, MOST_EXACT)
    rest_of_id = f"\x1f{venue}\x1fNone\x1fNone"
    for update in updates:
        symbol, price, volume = update.ticker.lower(), update.price, update.volume
        asset = find(symbol)
        seconds = update.timestamp_ns / 1e9
        exact = seconds * 1e6
        whole = int(exact)
        part = exact - whole
        if part > _HALF:
            whole += 1
        elif part == _HALF:
            whole = int(round(seconds, 6) * 1e6 + _HALF)
        timestamp = whole / 1e6
        if (
            asset is None
            or not _LEAST_PRICE <= price < _TOO_LARGE_PRICE
            or volume < 0
            or not LEAST_TIME <= timestamp <= latest
        ):
            found.append(None)
            continue
        digits = str(whole)  # 16
        text = repr(price)
        one = _id_hash.copy()
        one.update(
            f"{symbol}\x1f{text}\x1f{volume}\x1f{digits[:10]}.{digits[10:].rstrip('0') or '0'}{rest_of_id}".encode()
        )
        shared = _VOLUMES[volume] if volume < len(_VOLUMES) else Decimal(volume)
        found.append(Trade(asset.symbol, Decimal(text), shared, timestamp, venue, one.hexdigest()))
    return found
