"""Reports to systemd, which started the process: it is ready, it stops. Without NOTIFY_SOCKET, nothing is sent.

The protocol is that of sd_notify(3): a datagram of NAME=VALUE lines to a UNIX socket.
"""

import os
import socket
from collections.abc import Mapping

import structlog

READY = "READY=1"
STOPPING = "STOPPING=1"

log = structlog.get_logger()


def notify(state: str, environment: Mapping[str, str] = os.environ) -> None:
    """Send a state to the socket that the environment names, if it names one; failures are logged."""
    address = environment.get("NOTIFY_SOCKET", "")
    if not address:
        return
    name = f"\0{address[1:]}" if address.startswith("@") else address  # an abstract socket
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
            sender.sendto(state.encode(), name)
    except OSError as error:
        log.warning("systemd_not_notified", state=state, reason=error.strerror)
