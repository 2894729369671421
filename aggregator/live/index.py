"""The subscribers of one topic, by tier and by asset."""

from collections.abc import Set as AbstractSet

from aggregator.live.subscriber import Event, Subscriber, Subscription
from aggregator.models import Tier


class SubscriberIndex:
    """Finds the subscribers of an event."""

    def __init__(self) -> None:
        self._by_tier: dict[Tier, set[Subscriber]] = {tier: set() for tier in Tier}
        self._by_asset: dict[str, set[Subscriber]] = {}

    def __bool__(self) -> bool:
        """Whether there is a subscriber."""
        return bool(self._by_asset) or any(self._by_tier.values())

    def of(self, event: Event) -> AbstractSet[Subscriber]:
        """Return the subscribers of the event."""
        return self._by_tier[event.tier] | self._by_asset.get(event.asset, set())

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
