"""Assigns tiers by popularity. Pure: elapsed time is an argument.

An asset's score is its number of accesses, where each counts half after every half-life. An asset moves up only past
one whose score is clearly lower, so that noise and ties do not make two assets swap back and forth.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from aggregator.models import Asset, Tier

# "Clearly above r" means at least RATIO * r + MARGIN. The difference between the scores of two equally popular assets,
# both about r, has a standard deviation of sqrt(r), as a decayed count has a variance of r / 2; and r / 4 + 4 is at
# least twice that for every r. With a margin of 1, assets with few accesses flap: of 1000 assets at 0.5 accesses/s in
# total (Zipf; ranked every 300 s, half-life 1800 s) 11 change tier per ranking on average; with a margin of 4, 0.2 do.
RATIO = 1.25
MARGIN = 4.0  # accesses

# A score below this many accesses is dropped: a single access after six half-lives, a million after 26.
NEGLIGIBLE = 1 / 64


def decayed(scores: Mapping[str, float], seconds: float, half_life: float) -> dict[str, float]:
    """Return scores (accesses by symbol) after `seconds`: halved every `half_life` seconds, negligible ones dropped."""
    if seconds < 0 or half_life <= 0:
        raise ValueError("seconds must not be negative, and the half-life must be positive")
    share = 0.5 ** (seconds / half_life)
    return {symbol: left for symbol, score in scores.items() if (left := score * share) >= NEGLIGIBLE}


def clear_of(score: float) -> float:
    """Return the lowest score that is clearly above `score` (both in accesses)."""
    return RATIO * score + MARGIN


def rerank(assets: Sequence[Asset], scores: Mapping[str, float], pinned: Collection[str]) -> dict[str, Tier]:
    """Return the new tiers by symbol, only for the assets whose tier changes.

    `assets` are all listed assets, in any order, with their current tiers; an asset without a score has zero accesses.
    Tiers keep their sizes and are filled hottest first: the residents of a tier stay, except that the weakest ones make
    room for assets from below that are clearly above them. A displaced asset becomes a resident of the next tier, and
    may displace one there; so a move from cold to hot moves one asset down from each tier. Of assets with equal scores,
    the one with the lower rank is stronger.
    """
    rest = _contenders(assets, scores, frozenset(pinned))
    sizes = Counter(asset.tier for asset in rest)
    changes: dict[str, Tier] = {}
    for number, tier in enumerate(Tier, start=1):
        promoted = _promoted(rest, tuple(Tier)[:number], sizes[tier], scores)
        changes |= {asset.symbol: tier for asset in promoted if asset.tier is not tier}
        gone = {asset.symbol for asset in promoted}
        rest = [asset for asset in rest if asset.symbol not in gone]
    return changes


def reassigned(occupants: Mapping[str, str], assets: Sequence[Asset], changes: Mapping[str, Tier]) -> dict[str, str]:
    """Return the occupants (slot -> asset, if that is not the asset of the same name) after `changes` by `rerank`.

    In each tier, newcomers get the slots of the assets that leave; all others keep their slot and its due time.
    """
    slot_of = {asset: slot for slot, asset in occupants.items()}
    after = dict(occupants)
    moving = sorted((asset for asset in assets if asset.symbol in changes), key=lambda asset: asset.rank)
    for tier in Tier:
        going = [slot_of.get(asset.symbol, asset.symbol) for asset in moving if asset.tier is tier]
        coming = [asset.symbol for asset in moving if changes[asset.symbol] is tier]
        after.update(zip(going, coming, strict=True))
    return {slot: asset for slot, asset in after.items() if slot != asset}


def _contenders(assets: Sequence[Asset], scores: Mapping[str, float], pinned: Collection[str]) -> list[Asset]:
    """Return the assets that may change tier, strongest first: hot, medium, and as many cold ones."""
    above = [asset for asset in assets if asset.tier is not Tier.COLD and asset.symbol not in pinned]
    needed = clear_of(min((scores.get(asset.symbol, 0.0) for asset in above), default=0.0))
    climbers = [
        asset
        for asset in assets
        if scores.get(asset.symbol, 0.0) >= needed and asset.tier is Tier.COLD and asset.symbol not in pinned
    ]
    return _by_strength(above + _by_strength(climbers, scores)[: len(above)], scores)


def _by_strength(assets: Sequence[Asset], scores: Mapping[str, float]) -> list[Asset]:
    """Return the assets by score, highest first, and by rank where scores are equal."""
    by_rank = sorted(assets, key=lambda asset: asset.rank)
    return sorted(by_rank, key=lambda asset: scores.get(asset.symbol, 0.0), reverse=True)


def _promoted(
    rest: Sequence[Asset], from_tiers: Collection[Tier], size: int, scores: Mapping[str, float]
) -> list[Asset]:
    """Return the `size` assets of `rest` (strongest first) for a tier whose residents are now in `from_tiers`."""
    inside: list[Asset] = []
    outside: list[Asset] = []
    for asset in rest:
        (inside if asset.tier in from_tiers and len(inside) < size else outside).append(asset)
    pairs = zip(outside, reversed(inside), strict=False)  # the strongest newcomer, the weakest resident
    swaps = sum(scores.get(new.symbol, 0.0) >= clear_of(scores.get(old.symbol, 0.0)) for new, old in pairs)
    return inside[: size - swaps] + outside[:swaps]
