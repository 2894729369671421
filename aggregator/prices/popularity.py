"""Who deserves which tier, by how often it is asked for. Pure: the time gone by is an argument.

A score is an asset's accesses, each worth half as much after every half-life. An asset comes up only over one whose
score is clearly lower, so that neither noise nor a tie lets two of them change places back and forth.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from aggregator.models import Asset, Tier

# Clearly above r is RATIO * r + MARGIN or more. Random accesses make the difference of two equally popular assets, both
# about r, stray by sqrt(r) (one standard deviation: a decayed count has a variance of r / 2), and r / 4 + 4 is at least
# twice that for every r. With a margin of 1, quiet assets flap: of 1000 assets at 0.5 accesses/s in all (Zipf; every
# 300 s, half-life 1800 s) 11 change tier each time on average; with 4, 0.2 do.
RATIO = 1.25
MARGIN = 4.0  # accesses

# Below this many accesses a score is forgotten: a single access after six half-lives, a million after 26.
NEGLIGIBLE = 1 / 64


def decayed(scores: Mapping[str, float], seconds: float, half_life: float) -> dict[str, float]:
    """Return scores (accesses by symbol) `seconds` later: halved every `half_life` seconds, the negligible left out."""
    if seconds < 0 or half_life <= 0:
        raise ValueError("time goes forward, and a half-life is positive")
    share = 0.5 ** (seconds / half_life)
    return {symbol: left for symbol, score in scores.items() if (left := score * share) >= NEGLIGIBLE}


def clear_of(score: float) -> float:
    """Return the score from which on an asset is clearly above one of `score` (both in accesses)."""
    return RATIO * score + MARGIN


def rerank(assets: Sequence[Asset], scores: Mapping[str, float], pinned: Collection[str]) -> dict[str, Tier]:
    """Return the new tier by symbol of those whose tier changes, and of no others; empty when all may stay.

    `assets` are all listed ones, in any order, with the tiers they have now; who is not in `scores` has zero accesses.
    Tiers keep their sizes. Filled hottest first: a tier's residents stay, but for the weakest, each of which makes
    room for one from below that is clearly above it. Who had to go is a resident of the next tier, where the weakest
    go in turn; so a climb from cold to hot moves one down from each. Of equal scores, the lower rank is the stronger.
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
    """Return who has which slot (slot -> asset, where that is not its namesake) after `changes` by `rerank`.

    In each tier, who comes takes the slots of who goes; everyone else keeps theirs, and with it their turn.
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
    """Return who may change tier, strongest first: all above cold, and the best of the cold, one for each of those."""
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
    """Return the `size` of `rest` (strongest first) to sit in a tier, whose residents are now in `from_tiers`."""
    inside: list[Asset] = []
    outside: list[Asset] = []
    for asset in rest:
        (inside if asset.tier in from_tiers and len(inside) < size else outside).append(asset)
    pairs = zip(outside, reversed(inside), strict=False)  # the strongest against the weakest, and so on
    swaps = sum(scores.get(new.symbol, 0.0) >= clear_of(scores.get(old.symbol, 0.0)) for new, old in pairs)
    return inside[: size - swaps] + outside[:swaps]
