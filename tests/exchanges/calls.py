"""Calls to one exchange, and the metrics after them."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from aggregator.exchanges.http import HttpExchange
from aggregator.models import Asset, LeftOut, Reason, Ticker, Tier
from aggregator.observability.metrics import Metrics
from tests.parts.examples import BTC
from tests.parts.tcp_server import port_of, tcp_server

UNLISTED = Asset("nosuchcoin", "", "", Tier.COLD, 3)
MANY = [Asset(symbol, "", "", Tier.COLD, 0) for symbol in ("btcusdt", "ethusdt", "solusdt", "xrpusdt", "bnbusdt")]


def value(metrics: Metrics, name: str, **labels: str) -> float:
    """Return the value of a metric; 0 if there is no such series."""
    return metrics.registry.get_sample_value(name, labels) or 0.0


async def fetch_each(exchange: HttpExchange, assets: Sequence[Asset]) -> Mapping[str, Ticker | LeftOut]:
    """Fetch each asset in a call of its own, all at the same time."""
    answers = await asyncio.gather(*(exchange.fetch([asset]) for asset in assets))
    return {symbol: answer for found in answers for symbol, answer in found.items()}


async def reason(exchange: HttpExchange, asset: Asset = BTC) -> Reason:
    """Fetch an asset for which there is no ticker, and return the reason."""
    answer = (await exchange.fetch([asset]))[asset.symbol]
    assert isinstance(answer, LeftOut), answer
    return answer.reason


@asynccontextmanager
async def raw_server(answer: bytes, *, close: bool = True) -> AsyncIterator[str]:
    """Serve these bytes as the answer to every request."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        if close:
            writer.close()

    async with tcp_server(serve) as server:
        yield f"http://127.0.0.1:{port_of(server)}"
