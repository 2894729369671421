"""The access policy of the API: hosts, origins and keys."""

from aggregator.api.access.hosts import default_hosts, is_unspecified
from aggregator.api.access.keys import Keys
from aggregator.api.access.policy import Hosts, Origins, Policy
from aggregator.settings import Settings


def policy_of(settings: Settings) -> Policy:
    """Return the access policy: hosts, origins and keys.

    If the service listens on every address and no host is set, any IP address is accepted as a host.
    """
    any_address = not settings.allowed_hosts and is_unspecified(settings.host)
    hosts = Hosts(settings.allowed_hosts or default_hosts(settings.host), any_address=any_address)
    return Policy(hosts, Origins(settings.cors_origins), Keys(settings.api_keys, settings.read_keys))
