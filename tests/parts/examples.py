"""Example models, for tests that need one and do not depend on its values."""

from decimal import Decimal

from aggregator.models import Asset, LeftOut, Price, Reason, Source, Ticker, Tier
from aggregator.prices.tiers import Cadence, Catalog

NOW = 1_760_000_000.0
CADENCE = {Tier.HOT: Cadence(5), Tier.MEDIUM: Cadence(30), Tier.COLD: Cadence(300)}
BTC = Asset("btcusdt", "btc", "usdt", Tier.HOT, 1)
ETH = Asset("ethusdt", "eth", "usdt", Tier.COLD, 2)
CATALOG = Catalog({BTC.symbol: BTC, ETH.symbol: ETH}, CADENCE)


def ticker(
    exchange: str = "exchange1", price: str = "100", volume: str = "1", timestamp: float = NOW, symbol: str = "btcusdt"
) -> Ticker:
    """Return a ticker."""
    return Ticker(exchange, symbol, Decimal(price), Decimal(volume), timestamp)


def price(asset: str = "btcusdt", timestamp: float = NOW, amount: str = "79450.12", tier: Tier = Tier.HOT) -> Price:
    """Return a price with two sources and one source left out; a store must preserve every digit of it."""
    return Price(
        asset=asset,
        price=Decimal(amount),
        timestamp=timestamp,
        tier=tier,
        spread=Decimal("0.0002019346379"),
        updated_at=timestamp + 0.123456,
        sources=(
            Source("exchange1", Decimal("79450.10"), Decimal("1234567.890123456789"), timestamp, Decimal("0.4")),
            Source("exchange2", Decimal("79450.13"), Decimal("0.000000000001"), timestamp - 1, Decimal("0.6")),
        ),
        left_out=(
            LeftOut("exchange3", Reason.OUTLIER, "median 79450.1", Decimal("1E-9"), Decimal(7), timestamp),
            LeftOut("exchange4", Reason.TIMEOUT, "no answer in time"),
        ),
    )
