"""Public addresses are told from all others."""

import pytest

from aggregator.outlets.receivers.webhook.public_addresses import why_not_public

PUBLIC = ["8.8.8.8", "1.1.1.1", "172.15.255.255", "172.32.0.1", "100.63.255.255", "100.128.0.1", "192.0.1.1"]
PUBLIC += ["2606:4700:4700::1111", "2a00:1450:4001:81b::200e", "2001:4860:4860::8888"]
TESTS = ["198.51.100.1", "203.0.113.1", "240.0.0.1", "255.255.255.255"]
V6 = ["::", "::7f00:1", "100::1", "2001::1", "2001:db8::1", "3fff::1", "4000::1", "5f00::1"]
OTHERS = {
    "private": ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fc00::1", "fd00:ec2::254"],
    "loopback": ["127.0.0.1", "127.255.255.254", "::1"],
    "link-local": ["169.254.169.254", "169.254.170.2", "fe80::1", "fe80::1%eth0", "2606:4700::1%1"],
    "CGNAT": ["100.64.0.1", "100.100.100.200", "100.127.255.255"],
    "multicast": ["224.0.0.1", "239.255.255.255", "ff02::1"],
    "metadata": ["168.63.129.16"],
    "reserved": ["0.0.0.0", "192.0.0.192", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.19.255.255", *TESTS, *V6],  # noqa: S104  # refused
    "mapped": ["::ffff:127.0.0.1", "::ffff:8.8.8.8"],
    "NAT64": ["64:ff9b::7f00:1", "64:ff9b:1::1"],
    "6to4": ["2002:7f00:1::"],
    "not an IP": ["", "0x7f.1", "2130706433", "127.1", "0177.0.0.1", "127.0.0.1.", "localhost", "1.2.3.4/32"],
}


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_allowed(address: str) -> None:
    """An address of a host of the internet has no reason against it."""
    assert why_not_public(address) == ""


@pytest.mark.parametrize(("kind", "address"), [(kind, one) for kind, those in OTHERS.items() for one in those])
def test_any_other_address_has_a_reason(kind: str, address: str) -> None:
    """The reason names the kind of the address."""
    assert kind in why_not_public(address)
