"""Faults: their allowed values, and their effect on a call."""

import json
from collections import Counter

import pytest

from mock_exchange.faults import Effect, Faults, FaultsError, FaultSwitch, parse
from mock_exchange.market import draws


def switch(seed: int = 1, **faults: object) -> FaultSwitch:
    """Return a switch with these faults, set at time 100."""
    new = FaultSwitch(draws(seed))
    new.replace(parse(json.dumps(faults).encode()), now=100.0)
    return new


def test_an_empty_object_turns_all_off() -> None:
    """By default there are no faults."""
    assert parse(b"{}") == Faults()
    assert {switch().effect(now) for now in range(100)} == {Effect.NONE}


@pytest.mark.parametrize(
    "fault",
    [
        {"error_rate": 1.01},
        {"error_rate": -0.1},
        {"hang_rate": "0.1"},
        {"garbage_rate": True},
        {"drop_rate": None},
        {"status": 200},
        {"status": 600},
        {"status": 500.0},
        {"latency_ms": -1},
        {"latency_ms": 1e9},
        {"price_factor": -1},
        {"price": 1},
        {"freeze_clock": 1},
        {"clock_ahead": "1"},
        {"clock_ahead": 1e10},
        {"duplicate_rate": 2},
        {"reorder_rate": "0.5"},
        {"flood": -1},
        {"flood": 1001},
        {"flood": 1.5},
        {"trade_rate": -1},
        {"trade_rate": 1001},
        {"trade_duplicates": 1.1},
        {"news_latency_ms": 600_001},
        {"news_error_rate": 1.1},
        {"news_garbage_rate": True},
        {"trade_late": True},
        {"trade_late_seconds": -1},
        {"trade_late_seconds": 3601},
        {"trade_garbage": "1"},
        {"rate_limit": -1},
        {"rate_limit": 1.5},
        {"colour": "red"},
    ],
)
def test_a_wrong_value_is_refused_by_name(fault: dict[str, object]) -> None:
    """The error names the field."""
    with pytest.raises(FaultsError, match=next(iter(fault))):
        parse(json.dumps(fault).encode())


def test_every_mistake_is_named() -> None:
    """One error names all wrong fields."""
    with pytest.raises(FaultsError) as caught:
        parse(b'{"error_rate":2,"status":1,"colour":3,"latency_ms":5}')
    assert all(word in str(caught.value) for word in ("error_rate must", "status must", "'colour'"))
    assert "latency_ms must" not in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"1", b"\xff", b'{"error_rate":NaN}'])
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    """Every such body raises FaultsError."""
    with pytest.raises(FaultsError):
        parse(body)


def test_a_rate_is_the_share_of_calls() -> None:
    """A rate of 0.2 affects a fifth of the calls; a second rate of 0.5 affects half of the others."""
    effects = Counter(run(switch(hang_rate=0.2, garbage_rate=0.5), 10_000))
    assert 1_800 < effects[Effect.HANG] < 2_200
    assert 3_700 < effects[Effect.GARBAGE] < 4_300
    assert effects.keys() == {Effect.HANG, Effect.GARBAGE, Effect.NONE}


def test_runs_repeat() -> None:
    """Equal seeds give equal effects."""
    assert run(switch(error_rate=0.5), 100) == run(switch(error_rate=0.5), 100)
    assert run(switch(error_rate=0.5), 100) != run(switch(2, error_rate=0.5), 100)


def run(faulty: FaultSwitch, calls: int) -> list[Effect]:
    """Return the effects on `calls` calls."""
    return [faulty.effect(now=100.0) for _ in range(calls)]


def test_the_rate_limit_counts_by_second() -> None:
    """With a limit of two, the third call in a second is refused, and the next second admits two again."""
    limited = switch(rate_limit=2)
    effects = [limited.effect(now) for now in (5.0, 5.1, 5.9, 6.0, 6.5, 6.6)]
    assert effects == [Effect.NONE, Effect.NONE, Effect.LIMIT] * 2


def test_a_frozen_clock_stays_at_its_time() -> None:
    """New faults do not move a frozen clock; without the fault it runs again."""
    frozen = switch(freeze_clock=True)
    assert frozen.clock(200.0) == 100.0
    frozen.replace(Faults(freeze_clock=True, error_rate=1.0), now=300.0)
    assert frozen.clock(400.0) == 100.0
    frozen.replace(Faults(), now=500.0)
    assert frozen.clock(600.0) == 600.0


def test_a_clock_ahead() -> None:
    """The offset is added to the running clock, and to a frozen one."""
    assert switch(clock_ahead=3600).clock(200.0) == 3800.0
    assert switch(clock_ahead=-10, freeze_clock=True).clock(200.0) == 90.0
