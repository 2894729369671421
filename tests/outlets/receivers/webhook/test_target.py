"""The address of a webhook is accepted in one notation only."""

import pytest

from aggregator.outlets.receivers.webhook.target import webhook_target

PUBLIC = {
    "https://hooks.example/x": ("hooks.example", 443),
    "https://Hooks.Example:8443/x?key=1": ("hooks.example", 8443),
    "https://xn--bcher-kva.example/": ("xn--bcher-kva.example", 443),
    "https://8.8.8.8/x": ("8.8.8.8", 443),
    "https://[2606:4700:4700::1111]:444/x": ("2606:4700:4700::1111", 444),
}
REFUSED = {
    "http://hooks.example/": "https://",
    "ftp://hooks.example/": "https://",
    "https:hooks.example": "domain name",
    "https://user:pass@hooks.example/": "user and password",
    "https://hooks.example@127.0.0.1/": "user and password",
    "https://hooks.example/#x": "fragment",
    "https://hooks.example./": "dot at its end",
    "https://127.0.0.1./": "dot at its end",
    "https://hooks..example/": "domain name",
    "https://bücher.example/": "xn--",
    "https://127。0。0。1/": "xn--",
    "https://hooks.example\\@127.0.0.1/": "ASCII",
    "https://hooks.example/ x": "spaces",
    "https://hooks.example/\r\nx": "spaces",
    "https://hooks.example:0/": "port",
    "https://hooks.example:99999/": "host[:port]",
    "https://hooks.example:x/": "host[:port]",
    "https://%31%32%37.0.0.1/": "name, or four decimal",
    "https://hooks%2eexample/": "domain name",
    "https://[::1/": "host[:port]",
    "https://0x7f.1/": "four decimal",
    "https://0x7f000001/": "four decimal",
    "https://2130706433/": "four decimal",
    "https://127.1/": "four decimal",
    "https://0177.0.0.1/": "four decimal",
    "https://1.2.3.4.5/": "four decimal",
    "https://999.1.1.1/": "not an IP address",
    "https://127.0.0.1/": "of a loopback",
    "https://169.254.169.254/latest/meta-data/": "link-local",
    "https://[::1]/": "of a loopback",
    "https://[::ffff:10.0.0.1]/": "mapped",
    "https://[fe80::1%25eth0]/": "link-local",
    "https://localhost/": "private",
    "https://metadata.google.internal/": "private",
    "https://" + "a" * 3000: "2048",
    "https:///x": "domain name",
    "https://[v1.x]/": "",
}


@pytest.mark.parametrize(("url", "expected"), PUBLIC.items())
def test_a_public_address_is_taken(url: str, expected: tuple[str, int]) -> None:
    """Host and port are read; the URL is kept as it is."""
    target = webhook_target(url, allow_private=False)
    assert (target.host, target.port) == expected
    assert target.url == url


@pytest.mark.parametrize(("url", "why"), REFUSED.items())
def test_any_other_address_is_refused(url: str, why: str) -> None:
    """The message says what is allowed, and has neither path nor password in it."""
    with pytest.raises(ValueError, match="webhook") as caught:
        webhook_target(url, allow_private=False)
    assert why in str(caught.value)
    assert "pass@" not in str(caught.value)
    assert "meta-data" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000/x", "http://localhost/", "https://[::1]/", "http://hook.internal/"]
)
def test_private_addresses_are_allowed_on_request(url: str) -> None:
    """With OUTLETS_ALLOW_PRIVATE, private hosts and http are taken."""
    assert webhook_target(url, allow_private=True).url == url


@pytest.mark.parametrize(
    "url", ["https://0x7f.1/", "https://2130706433/", "https://a:b@127.0.0.1/", "file:///etc/x", "https://[v1.x]/"]
)
def test_odd_notations_are_refused_always(url: str) -> None:
    """OUTLETS_ALLOW_PRIVATE allows addresses, not notations."""
    with pytest.raises(ValueError, match="webhook"):
        webhook_target(url, allow_private=True)
