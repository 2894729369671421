"""How much each venue's ticker counts in a price: its volume, up to a share of the whole. Pure.

volumes  ->  water-filling under the cap  ->  volumes that count, and their sum
"""

from collections.abc import Sequence
from decimal import Decimal

_ONE = Decimal(1)


def counted_volumes(volumes: Sequence[Decimal], most: Decimal) -> tuple[Sequence[Decimal], Decimal]:
    """Return the volumes as they count, to one common scale, and their sum: what each has of it is its weight.

    No weight is above `most` (a fraction), or above an equal share where that is more. A volume with a larger share
    counts as exactly that share, and the others divide the rest by volume, so several may be capped. `volumes` is not
    empty, and each is above zero. Exact if the caller's context is wide enough: there is no division.
    """
    if most * len(volumes) <= 1:
        return [_ONE] * len(volumes), Decimal(len(volumes))
    total = sum(volumes)
    if max(volumes) <= most * total:
        return volumes, Decimal(total)
    rest, free = _uncapped(volumes, Decimal(total), most)
    capped = most * rest
    return [min(volume * free, capped) for volume in volumes], rest


def _uncapped(volumes: Sequence[Decimal], total: Decimal, most: Decimal) -> tuple[Decimal, Decimal]:
    """Return the sum of the volumes below the cap, and the weight that is left for them.

    From the largest on, each that would have more than `most` takes `most` and leaves the rest to the others, whose
    shares grow by that. As `most` is above an equal share, at least one is left, and with it some weight.
    """
    rest, free = total, _ONE
    for volume in sorted(volumes, reverse=True):
        if volume * free <= most * rest:
            break
        rest -= volume
        free -= most
    return rest, free
