"""The rate limit of wrong keys: how many it allows, and that it never locks out a valid key."""

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from starlette.exceptions import HTTPException
from starlette.requests import Request

from aggregator.api.access.keys import Attempts, Keys
from tests.parts.clock import Clock

STEPS = st.lists(st.tuples(st.floats(0, 30), st.integers(0, 300)), max_size=300)


@settings(deadline=None)
@given(STEPS)
def test_wrong_keys_of_an_address_are_limited(steps: list[tuple[float, int]]) -> None:
    """Ten at once and one every 6 s, whatever their distribution over time."""
    clock = Clock()
    attempts = Attempts(clock)
    compared = 0
    for pause, guesses in steps:
        clock.now += pause
        for _ in range(guesses):
            if not attempts.wait("192.0.2.1"):
                attempts.failed("192.0.2.1")
                compared += 1
        assert compared <= 10 + (clock.now - 1000) / 6 + 1e-6
        assert attempts.wait("192.0.2.2") == 0  # whoever has guessed nothing may try


@settings(deadline=None)
@given(STEPS)
def test_waiting_as_long_as_announced_is_enough(steps: list[tuple[float, int]]) -> None:
    """After the announced seconds, the next key is compared."""
    clock = Clock()
    attempts = Attempts(clock)
    for pause, guesses in steps:
        clock.now += pause
        for _ in range(guesses % 20):
            clock.now += attempts.wait("192.0.2.1") + 1e-6
            assert attempts.wait("192.0.2.1") == 0
            attempts.failed("192.0.2.1")


def test_wrong_keys_of_all_addresses_are_limited_together() -> None:
    """Each address has its first guess; all second guesses together are limited to ten a second. Memory is bounded."""
    clock = Clock()
    attempts = Attempts(clock)
    addresses = [f"10.{a}.{b}.1" for a in range(100) for b in range(150)]
    for address in addresses:
        assert attempts.wait(address) == 0
        attempts.failed(address)
    assert all(attempts.wait(address) > 0 for address in addresses[-9000:])
    assert attempts.wait("192.0.2.1") == 0
    assert attempts.wait(addresses[0]) == 0  # there are more addresses than are remembered


def test_an_ipv6_client_is_identified_by_its_network() -> None:
    """One client can use all addresses of a /64. An IPv4-mapped IPv6 address is the IPv4 address."""
    attempts = Attempts(Clock())
    for number in range(10):
        attempts.failed(f"2001:db8::{number:x}")
        attempts.failed("::ffff:192.0.2.1")
    assert attempts.wait("2001:db8::ffff") > 0
    assert attempts.wait("192.0.2.1") > 0
    assert attempts.wait("2001:db8:0:1::1") == 0


def refused(keys: Keys, key: str, client: str = "192.0.2.1") -> int:
    """Return the status of a refused refresh with this key, 0 if it is allowed."""
    headers = [(b"authorization", f"Bearer {key}".encode())] if key else []
    scope = {"type": "http", "method": "POST", "path": "/refresh/x", "headers": headers, "client": (client, 1)}
    try:
        keys.check_write(Request(scope))
    except HTTPException as refusal:
        return refusal.status_code
    return 0


def test_a_right_guess_is_not_confirmed_while_waiting() -> None:
    """The address gets 429 even with the right key; another address does not. After a pause it may try again."""
    clock = Clock()
    keys = Keys([SecretStr("right")], clock=clock)
    assert [refused(keys, f"wrong{number}") for number in range(12)] == [403] * 10 + [429] * 2
    assert refused(keys, "right") == 429
    assert refused(keys, "") == 401
    assert refused(keys, "right", "192.0.2.2") == 0
    clock.now += 6.01
    assert refused(keys, "right") == 0


def test_valid_keys_are_not_limited() -> None:
    """Nor do requests without a key, or with a key for reading only."""
    keys = Keys([SecretStr("right")], [SecretStr("reads")], clock=Clock())
    assert {refused(keys, key) for key in ["right"] * 50} == {0}
    assert {refused(keys, key) for key in [""] * 50} == {401}
    assert {refused(keys, key) for key in ["reads"] * 50} == {403}
    assert refused(keys, "right") == 0
