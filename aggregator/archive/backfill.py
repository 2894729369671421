"""Marks what a store has had before the archive was turned on, or since its file of marks was lost."""

from collections.abc import Iterable

import structlog

from aggregator.archive.marker import Marker
from aggregator.archive.sources import Source


async def backfill(source: Source, marker: Marker, assets: Iterable[str], since: float) -> None:
    """Mark every range with an event of the assets, from `since` on in unix seconds. Raises StoreError.

    It reads the first event of each range of one asset, and of those after it only in ranges that are not marked yet.
    """
    if marker.is_backfilled:
        return
    for asset in assets:
        at = marker.start_of(max(0.0, since))
        while (found := await source.first(asset, at)) is not None:
            start = marker.start_of(found)
            await marker.mark(start, asset)
            at = start + marker.seconds
            while marker.has(at, asset):
                at += marker.seconds
    await marker.set_backfilled()
    structlog.get_logger().info("archive_backfill", dataset=source.dataset.name, ranges=len(marker.pending))
