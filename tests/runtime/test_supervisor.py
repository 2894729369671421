"""Reports to systemd: a datagram to the socket that it names."""

import socket
from pathlib import Path

import pytest

from aggregator.runtime.supervisor import READY, notify
from tests.parts.service import Service


def test_the_state_is_sent(tmp_path: Path) -> None:
    """To a socket with a path, and to an abstract one; without a socket, or with one that is gone, nothing happens."""
    for address in (str(tmp_path / "socket"), f"@aggregator-{tmp_path.name}-{id(tmp_path)}"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
            systemd.bind(address.replace("@", "\0"))
            notify(READY, {"NOTIFY_SOCKET": address})
            assert systemd.recv(100) == b"READY=1"
    notify(READY, {"NOTIFY_SOCKET": address})
    notify(READY, {})


@pytest.mark.real
def test_a_service_reports_its_start_and_its_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service is ready once its port accepts connections, and says when it stops."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "socket"))
        systemd.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "socket"))
        service = Service(tmp_path, exchanges="none=mock+http://127.0.0.1:9").started()
        assert systemd.recv(100) == b"READY=1"
        assert service.get("/health").status == 200
        assert service.process.stop() == 0
        assert systemd.recv(100) == b"STOPPING=1"
