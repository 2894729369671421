"""The subscribers of one topic, by tier and by asset."""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet

from aggregator.live.subscriber import Event, Subscriber, Subscription
from aggregator.models import Asset, Tier


class SubscriberIndex:
    """Finds the subscribers of events."""

    def __init__(self) -> None:
        self._by_tier: dict[Tier, set[Subscriber]] = {tier: set() for tier in Tier}
        self._by_asset: dict[str, set[Subscriber]] = {}

    def __bool__(self) -> bool:
        """Whether there is a subscriber."""
        return bool(self._by_asset) or any(self._by_tier.values())

    def split(self, events: Sequence[Event]) -> Iterable[tuple[Subscriber, Sequence[Event]]]:
        """Return the subscribers of the events, each with those that it wants."""
        of_all = set.intersection(*self._by_tier.values())
        if not self._by_asset and all(len(some) == len(of_all) for some in self._by_tier.values()):
            return [(subscriber, events) for subscriber in of_all] if events else ()
        found: dict[Subscriber, list[Event]] = {}
        for event in events:
            for subscriber in self._of(event.listed):
                found.setdefault(subscriber, []).append(event)
        return found.items()

    def move(self, subscriber: Subscriber, before: Subscription, wanted: Subscription) -> None:
        """Replace the subscription `before` of a subscriber by `wanted`."""
        for tier in before.tiers - wanted.tiers:
            self._by_tier[tier].discard(subscriber)
        for tier in wanted.tiers - before.tiers:
            self._by_tier[tier].add(subscriber)
        for asset in before.assets - wanted.assets:
            self._by_asset[asset].discard(subscriber)
            if not self._by_asset[asset]:
                del self._by_asset[asset]
        for asset in wanted.assets - before.assets:
            self._by_asset.setdefault(asset, set()).add(subscriber)

    def _of(self, asset: Asset) -> AbstractSet[Subscriber]:
        """Return the subscribers of the events of an asset."""
        by_tier, by_name = self._by_tier[asset.tier], self._by_asset.get(asset.symbol)
        return by_tier | by_name if by_name else by_tier
