"""An archive of the last hours beside hot stores that go on from it, for queries over both."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import msgspec

from aggregator.anomalies.event import Anomaly, stored_anomaly
from aggregator.archive.datasets import ANOMALIES, FEATURES, PRICES, SENTIMENT, SIGNALS, TRADES, Dataset
from aggregator.archive.sources import event_lines, price_lines
from aggregator.cli.main import main
from aggregator.models import Price, Source, Tier, Trade, encode, encode_as_strings
from aggregator.news.articles import SentimentItem
from aggregator.news.topic import stored_event
from aggregator.observability.metrics import Metrics
from aggregator.runtime.event_stores import open_events_and_positions
from aggregator.runtime.stores import open_history
from aggregator.runtime.trade_stores import open_trade_store
from aggregator.settings import Settings
from aggregator.stores.letter_archive import ArchivedLetter
from aggregator.stores.trades.sqlite import SqliteTrades
from aggregator.strategy.signals import Signal, stored_signal
from aggregator.trades.ports import StoredEvent
from tests.parts.lake import RANGE_SECONDS, write_lake

ASSETS = ("btcusdt", "etheur")
STEP = 20  # seconds between two trades of an asset
SPAN = 2 * 3600  # seconds of trades
HOT = 2 * RANGE_SECONDS  # seconds at the end that are not archived


class Scene(NamedTuple):
    """A folder with `lake` and the files of hot stores; unix seconds of the first trade, of the last archived range.

    `hot` is the URL of all hot stores; without it they are files.
    """

    folder: Path
    start: int
    archived: int
    trades: Sequence[Trade]
    hot: str = ""

    def sql(self, query: str, *options: str) -> int:
        """Run a query over both; return the exit code."""
        return self.run("sql", query, *options)

    def run(self, *words: str) -> int:
        """Run a command of two words over both, with options; return the exit code."""
        names = {"archive": "lake", "trades": "trades.db", "history": "prices.db", "events": "events.db"}
        stores = {name: f"sqlite:///{self.folder}/{file}" for name, file in names.items()}
        stores |= dict.fromkeys(stores, self.hot) if self.hot else {}
        stores["archive"] = f"{self.folder}/lake"
        urls = [f"--{name}-url={url}" for name, url in stores.items()]
        try:
            return main([*words[:2], *urls, f"--symbols-file={self.folder}/symbols.csv", *words[2:]])
        except SystemExit as end:
            return int(str(end.code))


def make_scene(folder: Path, hot: str = "") -> Scene:
    """Write the archive and the stores, those of the URL `hot` or files.

    Some hot trades lie in archived ranges, as until they are deleted.
    """
    now = int(time.time())
    start = now - now % RANGE_SECONDS - SPAN
    archived = start + SPAN - HOT
    (folder / "symbols.csv").write_text("symbol,base,quote\nbtcusdt,btc,usdt\netheur,eth,eur\n")
    trades = [_trade(asset, at, start) for at in range(start, start + SPAN, STEP) for asset in ASSETS]
    lake = folder / "lake"
    old = [one for one in trades if one.timestamp < archived]
    write_lake(lake, TRADES, msgspec.json.decode(encode_as_strings(old)))
    write_lake(lake, PRICES, rows_of(price_lines(_prices(start, archived))))
    for dataset, events in _events(start):
        write_lake(lake, dataset, rows_of(event_lines(dataset, events[:1])))
    minutes = range(start - start % 60, archived, 60)
    write_lake(lake, FEATURES, [{"asset": ASSETS[0], "timestamp": at, "vwap_1min": "1000.5"} for at in minutes])
    letter = ArchivedLetter("trade", "1", "ingest", None, now, now, 1, 0, "price", "the record has no price", "{}")
    (lake / letter.path).parent.mkdir(parents=True)
    (lake / letter.path).write_bytes(encode(letter))
    asyncio.run(_fill(folder, hot, trades[len(trades) // 2 :], _prices(archived, start + SPAN), start))
    return Scene(folder, start, archived, trades, hot)


async def _fill(folder: Path, hot: str, trades: Sequence[Trade], prices: Sequence[Price], start: int) -> None:
    urls = [hot or f"sqlite:///{folder}/{name}.db" for name in ("trades", "prices", "events")]
    stores = dict(zip(("trades_url", "history_url", "events_url"), urls, strict=True))
    settings = Settings.model_validate(stores | {"outbox_path": folder / "outbox.db", "trades_retention": 1e8})
    async with AsyncExitStack() as stack:
        metrics = Metrics()
        await (await open_trade_store(settings, metrics, stack)).add(trades)
        history = await open_history(settings, metrics, stack)
        await history.write(prices)
        sending = asyncio.create_task(history.run())  # where an outbox is in front of the store
        await history.drain(60)
        sending.cancel()
        await asyncio.wait([sending])
        store = (await open_events_and_positions(settings, metrics, stack)).events
        for dataset, some in _events(start):
            await store.put(dataset.name, some)


async def add_trades(folder: Path, trades: Sequence[Trade]) -> None:
    """Add trades to the hot store."""
    stored = SqliteTrades(folder / "trades.db", 1e9)
    await stored.open()
    await stored.add(trades)
    await stored.close()


def _trade(asset: str, at: int, start: int) -> Trade:
    number = (at - start) // STEP
    volume = Decimal(40) if number % 50 == 49 else Decimal(1) + Decimal(number % 7) / 8
    venue = ("coinbase", "kraken")[number % 2]
    return Trade(asset, Decimal("1000.1") + number % 13, volume, at + 0.25, venue, str(number))


rows_of = msgspec.json.Decoder(dict[str, object]).decode_lines


def _prices(start: int, end: int) -> list[Price]:
    source = Source("coinbase", Decimal(1000), Decimal(5), 0.0, Decimal(1))
    return [
        Price(asset, Decimal(1000) + at % 7, at + 0.5, Tier.HOT, Decimal("0.001"), at + 0.75, (source,))
        for at in range(start, end, 60)
        for asset in ASSETS
    ]


def _events(start: int) -> list[tuple[Dataset, list[StoredEvent]]]:
    """Return two events of each kind: one that is archived, and one that is not."""
    found: list[tuple[Dataset, list[StoredEvent]]] = [(ANOMALIES, []), (SIGNALS, []), (SENTIMENT, [])]
    for number, at in enumerate((start + 60.5, start + SPAN - 60.5)):
        vector = (1000.0, 1.0, 0.5, 0.1, 0.001, 3.0)
        anomaly = Anomaly("btcusdt", at, str(number), "kraken", -0.7, -0.6, vector, "1")
        found[0][1].append(stored_anomaly(anomaly))
        price, profit = Decimal("1000.5"), Decimal(number)
        signal = Signal(f"s{number}", "etheur", "sell", "gain", price, Decimal(2), at, "p", profit)
        found[1][1].append(stored_signal(signal))
        item = SentimentItem("btcusdt", f"n{number}", "Up", "rss", "http://a.example", at, 0.5, "positive", "none")
        found[2][1].append(stored_event(item))
    return found
