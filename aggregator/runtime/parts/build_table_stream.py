"""The role `streams`: the stream of a DynamoDB table that others write, and the outlets that get its events."""

from aggregator.errors import CannotGoOn
from aggregator.runtime.attempts import Attempt
from aggregator.runtime.parts.build_outlets import open_outlets
from aggregator.runtime.parts.trades.build_trades import open_dead_letters
from aggregator.runtime.process import Process
from aggregator.runtime.stores import open_redis
from aggregator.settings import PREFIX
from aggregator.trades.event_log.kinesis.table_stream_address import parse_table_stream_url
from aggregator.trades.ports import LiveTrades

_DRAIN_SECONDS = 3.0  # for what was read when the process stops
_SETTING = f"{PREFIX}TABLE_STREAM"


async def open_table_stream(process: Process, attempt: Attempt) -> LiveTrades:
    """Open the outlets and the stream, which is read from now on; return its state. Raises CannotGoOn.

    Redis is used only where the settings name one: then one process sends to an outlet.
    """
    from aggregator.table_streams.source import TableStream  # noqa: PLC0415  # Amazon's libraries take 0.3 s and 25 MiB
    from aggregator.trades.event_log.kinesis.table_stream import TableStreamClients  # noqa: PLC0415  # it imports them, too

    redis = await open_redis(process.settings, process.stack, attempt)
    await open_outlets(process, attempt, redis)
    if process.outlets is None:
        raise CannotGoOn("role=streams has no outlets", f"set {PREFIX}OUTLETS")
    dead_letters = await open_dead_letters(process, attempt)
    await process.keep_running(dead_letters)
    stream = TableStream(
        TableStreamClients(parse_table_stream_url(process.settings.table_stream)),
        process.outlets,
        process.catalog,
        dead_letters,
        process.metrics,
        process.clock.now,
    )
    process.stack.push_async_callback(stream.close)
    await attempt(stream.open, _SETTING, "turn the stream of the table on, with new images; check region and rights")
    await process.keep_running(stream)
    process.stack.push_async_callback(stream.drain, _DRAIN_SECONDS)
    return stream
