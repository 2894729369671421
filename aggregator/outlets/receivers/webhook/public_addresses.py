"""Public addresses of the internet: those that a webhook may connect to without OUTLETS_ALLOW_PRIVATE. Pure.

The tables follow the registries of special-purpose addresses of IANA (RFC 6890 and its successors). They are listed
here because `ipaddress` has other lists in each version of Python.
"""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address

NO_ADDRESS = "not an IP address"

_NOT_PUBLIC: Mapping[str, tuple[str, ...]] = {
    "private": ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"),
    "of a loopback": ("127.0.0.0/8",),
    "link-local": ("169.254.0.0/16",),  # with the metadata of most clouds
    "shared by a provider (CGNAT)": ("100.64.0.0/10",),
    "multicast": ("224.0.0.0/4",),
    "of the metadata of a cloud": ("168.63.129.16/32",),  # Azure's, the only one outside the ranges of this table
    "reserved": (
        "0.0.0.0/8",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "240.0.0.0/4",
    ),
}
_V4 = [(IPv4Network(one), kind) for kind, networks in _NOT_PUBLIC.items() for one in networks]
_GLOBAL_V6 = IPv6Network("2000::/3")  # the only part of IPv6 that is given out to hosts of the internet
_V6 = [
    (IPv6Network("::1/128"), "of a loopback"),
    (IPv6Network("fe80::/10"), "link-local"),
    (IPv6Network("fc00::/7"), "private"),
    (IPv6Network("ff00::/8"), "multicast"),
    (IPv6Network("::ffff:0:0/96"), "a mapped IPv4 address"),
    (IPv6Network("64:ff9b::/96"), "a translated IPv4 address (NAT64)"),
    (IPv6Network("64:ff9b:1::/48"), "a translated IPv4 address (NAT64)"),
    (IPv6Network("2002::/16"), "a tunnelled IPv4 address (6to4)"),
    (IPv6Network("2001::/23"), "reserved"),  # with Teredo, which tunnels IPv4 addresses
    (IPv6Network("2001:db8::/32"), "reserved"),
    (IPv6Network("3fff::/20"), "reserved"),
]


def why_not_public(text: str) -> str:
    """Return the kind of an address that is not public, such as "private"; an empty text for one that is public."""
    try:
        address = ip_address(text)
    except ValueError:
        return NO_ADDRESS
    if isinstance(address, IPv4Address):
        return next((kind for network, kind in _V4 if address in network), "")
    if address.scope_id is not None:
        return "link-local"
    kind = next((kind for network, kind in _V6 if address in network), "")
    return kind or ("" if address in _GLOBAL_V6 else "reserved")
