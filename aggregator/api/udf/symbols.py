"""The assets as symbols of TradingView's UDF: the description of one, and the search."""

import re
from decimal import Decimal

from aggregator.api.udf.schema import EXCHANGE, INTRADAY, SUPPORTED, TRADES, TYPE, UdfFound, UdfSymbol
from aggregator.models import Asset
from aggregator.prices.tiers import Catalog

_SEPARATORS = re.compile(r"[-/_\s]")
_PRICE_DIGITS = 10  # significant digits of a price
_MOST_DECIMALS = 18  # a scale of more does not fit into 64 bits
_USUAL_DECIMALS = 8  # while no price is stored


def search(catalog: Catalog, text: str, limit: int) -> list[Asset]:
    """Return at most `limit` assets whose symbols contain the text: those that begin with it first, by rank."""
    wanted = _SEPARATORS.sub("", text.lower().removeprefix(f"{EXCHANGE.lower()}:").removeprefix(f"{TRADES.lower()}:"))
    begins: list[Asset] = []
    contains: list[Asset] = []
    for symbol, asset in catalog.assets.items():  # by rank
        if symbol.startswith(wanted):
            begins.append(asset)
            if len(begins) == limit:
                break
        elif wanted in symbol and len(contains) < limit:
            contains.append(asset)
    return [*begins, *contains][:limit]


def symbol_info(asset: Asset, price: Decimal | None, exchange: str = EXCHANGE) -> UdfSymbol:
    """Return the symbol. Its scale fits the newest price; without one, it is that of eight decimals."""
    digits = _USUAL_DECIMALS if price is None else _PRICE_DIGITS - 1 - price.adjusted()
    found = found_symbol(asset, exchange)
    return UdfSymbol(
        name=found.symbol,
        ticker=found.ticker,
        full_name=found.full_name,
        description=found.description,
        type=TYPE,
        session="24x7",
        timezone="Etc/UTC",
        exchange=exchange,
        listed_exchange=exchange,
        currency_code=asset.quote.upper(),
        format="price",
        minmov=1,
        pricescale=10 ** min(_MOST_DECIMALS, max(0, digits)),
        has_intraday=True,
        has_seconds=False,
        has_daily=True,
        has_weekly_and_monthly=False,
        has_empty_bars=False,
        intraday_multipliers=INTRADAY,
        supported_resolutions=SUPPORTED,
        visible_plots_set="ohlcv" if exchange == TRADES else "ohlc",
        data_status="streaming",
    )


def found_symbol(asset: Asset, exchange: str = EXCHANGE) -> UdfFound:
    """Return the symbol as a search shows it."""
    name = asset.symbol.upper()
    pair = f"{asset.base}/{asset.quote}".upper() if asset.base and asset.quote else name
    ticker = f"{exchange}:{asset.symbol}" if exchange == TRADES else asset.symbol
    return UdfFound(name, f"{exchange}:{name}", pair, exchange, ticker, TYPE)
