"""Host headers and origins in normal form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.api.access.hosts import (
    allowed_host,
    allowed_origin,
    default_hosts,
    host_and_port,
    is_address,
    is_same_origin,
    matches,
    network,
)

NAMES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?(\.[a-z]{2,5}){0,2}", fullmatch=True)
PORTS = st.one_of(st.just(""), st.integers(1, 65_535).map(str))


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("localhost", ("localhost", "")),
        ("LocalHost:8080", ("localhost", "8080")),
        ("example.com.:80", ("example.com", "80")),
        ("127.0.0.1:8080", ("127.0.0.1", "8080")),
        ("[::1]:8080", ("[::1]", "8080")),
        ("[0:0:0:0:0:0:0:1]", ("[::1]", "")),
        ("price_aggregator:8080", ("price_aggregator", "8080")),
        ("", None),
        (".", None),
        ("[::x]", None),
        ("::1", None),
        ("a:b", None),
        ("user@localhost", None),
        ("localhost/", None),
        ("localhost, evil.example", None),
        ("localhost\r\n", None),
        ("lo\u212aalhost", None),
    ],
)
def test_a_host_header(header: str, found: tuple[str, str] | None) -> None:
    """Lower case, without port and trailing dot; None for a malformed header."""
    assert host_and_port(header) == found


@given(NAMES, PORTS, st.booleans(), st.booleans())
def test_all_spellings_of_a_host_are_equal(name: str, port: str, upper: bool, dot: bool) -> None:  # noqa: FBT001  # from Hypothesis
    """Case, port and a trailing dot make no difference."""
    header = (name.upper() if upper else name) + "." * dot + f":{port}" * bool(port)
    found = host_and_port(header)
    assert found is not None
    assert matches(found[0], [allowed_host(name)])
    assert not matches(found[0], ["x" + name])


@given(NAMES, NAMES)
def test_a_wildcard_is_for_subdomains(domain: str, name: str) -> None:
    """Not the domain itself, nor a domain that only ends in the same letters."""
    allowed = [allowed_host(f"*.{domain}")]
    assert matches(f"{name}.{domain}", allowed)
    assert matches(f"a.{name}.{domain}", allowed)
    assert not matches(domain, allowed)
    assert not matches(f"{name}x{domain}", allowed)


@given(NAMES, PORTS, st.sampled_from(["http", "https"]))
def test_same_origin(name: str, port: str, scheme: str) -> None:
    """An origin is compared as browsers send it: another host, another port or `null` is another origin."""
    host = name + f":{port}" * bool(port)
    assert is_same_origin(f"{scheme}://{host}", host)
    assert not is_same_origin(f"{scheme}://x{host}", host)
    assert not is_same_origin(f"{scheme}://{name}:{port or '80'}1", host)
    assert not is_same_origin("null", host)


def test_the_default_port_of_a_scheme_is_optional() -> None:
    """Browsers omit it, proxies may add it."""
    assert is_same_origin("https://example.com", "example.com:443")
    assert is_same_origin("http://example.com", "EXAMPLE.com:80")
    assert not is_same_origin("https://example.com", "example.com:80")
    assert allowed_origin("https://example.com:443") == "https://example.com"
    assert allowed_origin("http://127.0.0.1:8080") == "http://127.0.0.1:8080"
    assert allowed_origin("capacitor://localhost") == "capacitor://localhost"


@pytest.mark.parametrize("text", ["null", "example.com", "https://example.com/", "https://u@example.com", "https://*"])
def test_malformed_origins(text: str) -> None:
    """It is refused at the start: no browser would send it."""
    with pytest.raises(ValueError, match="no origin"):
        allowed_origin(text)


@pytest.mark.parametrize("text", ["https://example.com", "example.com:80", "*example.com", "a.*", "", "[::1]:80", "*."])
def test_malformed_hosts(text: str) -> None:
    """It is refused at the start: no request could match it."""
    with pytest.raises(ValueError, match="no host"):
        allowed_host(text)


def test_default_hosts() -> None:
    """By default, loopback names and the address that the service listens on are served."""
    assert default_hosts("127.0.0.1") == ("localhost", "127.0.0.1", "[::1]")
    assert default_hosts("192.168.1.5")[-1] == "192.168.1.5"
    assert default_hosts("2001:db8::1")[-1] == "[2001:db8::1]"
    assert default_hosts("prices.lan")[-1] == "prices.lan"
    assert allowed_host("::1") == "[::1]"


def test_addresses_and_networks() -> None:
    """A name is not an address, whatever its ending."""
    assert is_address("10.0.0.1")
    assert is_address("[::1]")
    assert not is_address("10.0.0.1.nip.io")
    assert network("10.0.0.0/16") == "10.0.0.0/16"
    assert network("10.0.0.1") == "10.0.0.1/32"
    with pytest.raises(ValueError, match="neither an address nor a network"):
        network("10.0.0.1/8")
