"""Marks the events that a store had before the archive was turned on, or before its file of marks was lost."""

from collections.abc import Mapping, Sequence

import structlog

from aggregator.archive.sources import Source
from aggregator.archive.writes.marker import Marker

BACKFILLED_SECONDS = 172_800.0  # before the first start, of prices and events: their stores may have years
_AT_ONCE = 250  # assets that are marked together


async def backfill(source: Source, marker: Marker, assets: Sequence[str], since: float) -> None:
    """Mark every range with an event of the assets, from `since` on in unix seconds. Raises StoreError.

    It reads the first event of each range of one asset, and of others only in ranges that are not marked yet.
    """
    if marker.is_backfilled:
        return
    start = marker.start_of(max(0.0, since))
    for first in range(0, len(assets), _AT_ONCE):
        places = dict.fromkeys(assets[first : first + _AT_ONCE], start)
        while places:
            places = await _mark_next(source, marker, places)
    await marker.set_backfilled()
    structlog.get_logger().info("archive_backfill", dataset=source.dataset.name, ranges=len(marker.pending))


async def _mark_next(source: Source, marker: Marker, places: Mapping[str, int]) -> dict[str, int]:
    """Mark the range of each asset's first event at its place or later; return where to go on, by asset."""
    found = {asset: await source.first(asset, at) for asset, at in places.items()}
    starts = {asset: marker.start_of(at) for asset, at in found.items() if at is not None}
    await marker.mark(set(starts.values()), starts)
    return {asset: _next_unmarked(marker, start) for asset, start in starts.items()}


def _next_unmarked(marker: Marker, start: int) -> int:
    while marker.has(start):
        start += marker.seconds
    return start
