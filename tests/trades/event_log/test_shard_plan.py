"""Which leases a process creates, takes and asks for."""

from collections.abc import Sequence

import pytest

from aggregator.errors import StoreRefused
from aggregator.trades.event_log.kinesis.shard_assignment import ENDLESS, ShardAssignment, number_of
from aggregator.trades.event_log.kinesis.shard_plan import (
    SHARD_END,
    Lease,
    LeaseWatch,
    Shard,
    new_leases,
    old_leases,
    plan,
)
from aggregator.trades.event_log.window_start import WindowStart


def by_shard(*leases: Lease) -> dict[str, Lease]:
    """Return leases by their shards."""
    return {lease.shard: lease for lease in leases}


def test_all_shards_without_parents_get_leases() -> None:
    """At the beginning, the oldest shards that are left get leases, and their children none yet."""
    shards = [Shard("b", ("a",)), Shard("c", ("b",)), Shard("d")]
    found = new_leases(shards, {}, "1700000000.000")
    assert [(one.shard, one.checkpoint, one.start) for one in found] == [
        ("b", "AT_TIMESTAMP", "1700000000.000"),
        ("d", "AT_TIMESTAMP", "1700000000.000"),
    ]
    assert [one.checkpoint for one in new_leases(shards, {}, "TRIM_HORIZON")] == ["TRIM_HORIZON"] * 2


def test_a_child_waits_for_all_parents() -> None:
    """The child of a merge gets a lease once both parents are processed, and begins where they did."""
    shards = [Shard("a"), Shard("b"), Shard("c", ("a", "b"))]
    done, running = Lease("a", checkpoint=SHARD_END, start="17"), Lease("b", checkpoint="5", start="16")
    assert new_leases(shards, by_shard(done, running), "99") == []
    ended = Lease("b", checkpoint=SHARD_END, start="16")
    assert new_leases(shards, by_shard(done, ended), "99") == [
        Lease("c", checkpoint="AT_TIMESTAMP", start="16", parents=("a", "b"))
    ]


def test_old_leases_are_those_of_forgotten_shards() -> None:
    """A shard without records loses its lease, unless a process still has it."""
    ended, free, dead, owned = (
        Lease("a", checkpoint=SHARD_END),
        Lease("b", checkpoint="5"),
        Lease("c", "dead", checkpoint="5"),
        Lease("d", "other", checkpoint="5"),
    )
    leases = [ended, free, dead, owned, Lease("e", checkpoint=SHARD_END)]
    assert old_leases([Shard("e")], leases, {"c"}) == [ended, free, dead]


def test_a_lease_expires_without_a_renewal() -> None:
    """A lease whose counter or owner changes has not expired."""
    watch = LeaseWatch(10)
    assert watch.expired([Lease("a", "x", 1), Lease("b", "x", 1), Lease("c", "x", 1)], 100) == set()
    assert watch.expired([Lease("a", "x", 1), Lease("b", "x", 2), Lease("c", "y", 1)], 109) == set()
    assert watch.expired([Lease("a", "x", 1), Lease("b", "x", 2), Lease("c", "y", 1)], 110) == {"a"}
    assert watch.expired([Lease("a", "z", 2), Lease("b", "x", 2)], 119) == {"b"}


def test_free_leases_are_taken_up_to_the_share() -> None:
    """Leases without an owner, or with one that died, are taken; the rest is left to others."""
    leases = [
        Lease("a"),
        Lease("b", "dead"),
        Lease("c", "other"),
        Lease("d", "other"),
        Lease("e", checkpoint=SHARD_END),
    ]
    assert plan(leases, {"b"}, "me").take == leases[:2]
    assert plan([Lease(name) for name in "abc"], set(), "me").take == [Lease(name) for name in "abc"]
    assert plan([Lease("a", "other"), Lease("b"), Lease("c", "me")], set(), "me").take == [Lease("b")]
    assert plan([Lease("a", "other"), Lease("b"), Lease("c", "me"), Lease("d", "me")], set(), "me").take == []


@pytest.mark.parametrize(
    ("owners", "asked"),
    [("xxxx", "a"), ("xxmm", ""), ("xxxm", "a"), ("xxyy", "a"), ("xxym", ""), ("x", ""), ("mmmx", "")],
)
def test_a_busier_process_is_asked(owners: Sequence[str], asked: str) -> None:
    """A process asks for one lease of the busiest, if that has two more than itself."""
    leases = [Lease(shard, owner) for shard, owner in zip("abcd", owners, strict=False)]
    found = plan(leases, set(), "m")
    assert found.take == []
    assert (found.ask.shard if found.ask else "") == asked


def test_one_lease_is_asked_for_at_a_time() -> None:
    """While a lease is being passed on, no other is asked for."""
    leases = [Lease("a", "x", wanted_by="me"), Lease("b", "x"), Lease("c", "x"), Lease("d", "x")]
    assert plan(leases, set(), "me").ask is None
    assert plan(leases, set(), "other").ask == leases[1]


def test_processes_share_evenly() -> None:
    """By asking, three processes come to share ten leases, none with two more than another."""
    owners = ["x"] * 10
    for _ in range(10):
        for me in "yz":
            asked = plan([Lease(str(place), owner) for place, owner in enumerate(owners)], set(), me).ask
            if asked is not None:
                owners[int(asked.shard)] = me
    assert sorted(owners.count(me) for me in "xyz") == [3, 3, 4]


def test_windows_before_a_shard_are_not_known() -> None:
    """A shard that is read from its beginning has no trades of its parents, so that its windows are not complete."""
    one = ShardAssignment(Lease("shardId-000000000007"), 0, 310)
    one.read(10**56, 10**56 + 5, 6, 1_700_000_000)
    assert one.partition == 7
    assert one.exact_since == float("inf")
    assert one.starts.current == WindowStart(10**56, 1_700_000_005)
    assert one.checkpoint == ("TRIM_HORIZON", "")
    assert (one.waiting, one.uncertain_until) == (6, ENDLESS)


@pytest.mark.parametrize(("first", "is_exact"), [(90, True), (91, False)])
def test_windows_are_known_from_their_start(first: int, is_exact: bool) -> None:  # noqa: FBT001  # a parameter of pytest
    """A shard that is read from where its open windows begin has all of them; not if that record is gone."""
    one = ShardAssignment(Lease("s-1", checkpoint="99", windows="windows:1:90:1700000000.000000"), 0, 310)
    one.read(first, 120, 5, 1_700_000_100)
    assert one.committed == 100
    assert one.exact_since == (1_700_000_000 if is_exact else float("inf"))
    one.processed = 121, "x"
    assert (one.waiting, one.checkpoint) == (0, ("120", "x"))


def test_a_shard_without_a_number_is_refused() -> None:
    """The number of a shard names its partition."""
    assert number_of("shardId-000000000012") == 12
    with pytest.raises(StoreRefused, match="has no number"):
        number_of("shard")
