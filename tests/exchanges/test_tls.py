"""The words for a connection that fails in TLS."""

import ssl
from unittest.mock import Mock

import aiohttp
import pytest

from aggregator.exchanges.connection import why_unreachable


def test_a_failure_of_tls_has_the_words_of_tls() -> None:
    """The number of such an error is 1, which is no number of the system: there it means "operation not permitted"."""
    cause = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed")
    cause.verify_message = "self-signed certificate"
    with pytest.raises(aiohttp.ClientSSLError) as caught:
        raise aiohttp.ClientConnectorCertificateError(Mock(), cause) from cause
    assert why_unreachable(caught.value) == "TLS: self-signed certificate"
    other = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number")
    with pytest.raises(aiohttp.ClientSSLError) as caught:
        raise aiohttp.ClientConnectorSSLError(Mock(), other) from other
    assert why_unreachable(caught.value) == "TLS: ClientConnectorSSLError"
