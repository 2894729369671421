"""Certificates of servers on this machine, signed by themselves."""

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest


def make_certificate(folder: Path, name: str = "IP:127.0.0.1") -> tuple[Path, Path]:
    """Make a certificate of a name such as DNS:localhost; return the files of certificate and key."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("no openssl here to make a certificate")
    found = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        [program, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test",
         "-addext", f"subjectAltName={name}", "-out", found[0], "-keyout", found[1]],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return found


def server_context(folder: Path) -> ssl.SSLContext:
    """Return the TLS of a server with a new certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*make_certificate(folder))
    return context
