"""The service with exactly the rights that Terraform gives its machines."""

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.parts.dynamodb import DynamoServer
from tests.parts.exchanges import Market
from tests.parts.process import wait_for
from tests.parts.redis_server import RedisServer, binary
from tests.parts.service import Service, call, refusal
from tests.parts.short_list import INTERVALS, SIZES, write_symbols
from tests.parts.terraform import FOLDER

pytestmark = [pytest.mark.real, pytest.mark.skipif(binary() is None, reason="no redis-server here; see the header")]

ASSET = "btcusdt"
REFRESHER = {
    "DescribeTable",
    "DescribeTimeToLive",
    "Query",
    "BatchWriteItem",
}  # as in the plan: test_plan.py
API = REFRESHER - {"BatchWriteItem"}
DENIED = json.dumps({"__type": "com.amazon.coral.service#AccessDeniedException", "message": "not authorized"}).encode()


class Guarded:
    """A proxy in front of DynamoDB that enforces a policy: refuses other operations as AWS does, and records them."""

    def __init__(self, target: str, allowed: set[str]) -> None:
        self.called: set[str] = set()
        guarded, place = self, urlsplit(target).netloc

        class Handler(BaseHTTPRequestHandler):
            """Handles one call."""

            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                """Forward the call, or refuse it."""
                body = self.rfile.read(int(self.headers["Content-Length"]))
                operation = self.headers["X-Amz-Target"].rpartition(".")[2]
                guarded.called.add(operation)
                if operation not in allowed:
                    self._answer(400, DENIED)
                    return
                with closing(http.client.HTTPConnection(place, timeout=10)) as behind:
                    behind.request("POST", "/", body, dict(self.headers))
                    answer = behind.getresponse()
                    status, answered = answer.status, answer.read()
                self._answer(status, answered)

            def _answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "application/x-amz-json-1.0")
                self.send_header("Content-Length", str(len(body)))
                with suppress(ConnectionError):  # the service has been stopped meanwhile
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def url(self, table: str) -> str:
        """Return the AGGREGATOR_HISTORY_URL of a table."""
        return f"dynamodb://{table}?region=us-east-1&endpoint=http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        """Stop the proxy."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def ask(dynamodb: DynamoServer, operation: str, **body: object) -> None:
    """Make the calls that Terraform makes before the service starts."""
    headers = {
        "X-Amz-Target": f"DynamoDB_20120810.{operation}",
        "Content-Type": "application/x-amz-json-1.0",
        "Authorization": "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/dynamodb/aws4_request,"
        " SignedHeaders=host, Signature=0",
    }
    answer = call("POST", dynamodb.endpoint, headers, json.dumps(body).encode())
    assert answer.status == 200, answer.text


@pytest.fixture
def table(dynamodb_running: DynamoServer, request: pytest.FixtureRequest) -> str:
    """Create the table as Terraform does, with its TTL."""
    name = f"rights-{abs(hash(request.node.name)) % 10_000}"
    keys = [{"AttributeName": "asset", "KeyType": "HASH"}, {"AttributeName": "timestamp", "KeyType": "RANGE"}]
    types = [{"AttributeName": "asset", "AttributeType": "S"}, {"AttributeName": "timestamp", "AttributeType": "N"}]
    ask(
        dynamodb_running,
        "CreateTable",
        TableName=name,
        KeySchema=keys,
        AttributeDefinitions=types,
        BillingMode="PAY_PER_REQUEST",
    )
    ttl = {"Enabled": True, "AttributeName": "expires_at"}
    ask(dynamodb_running, "UpdateTimeToLive", TableName=name, TimeToLiveSpecification=ttl)
    return name


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """Run a Redis whose user has the rights of files/redis-rights.txt, with the default user off."""
    rights = (FOLDER / "files/redis-rights.txt").read_text(encoding="utf-8").split()
    server = RedisServer(None, "--user", "default", "off", "--user", "service", "nopass", *rights)
    yield server
    server.stop()


def test_refresher_and_api_do_all_their_work(
    redis: RedisServer, dynamodb_running: DynamoServer, table: str, market: Market, tmp_path: Path
) -> None:
    """Refresher and API work with an existing table, no right to create one, and a Redis user limited to its keys."""
    behind = {
        "refresher": Guarded(dynamodb_running.endpoint, REFRESHER),
        "api": Guarded(dynamodb_running.endpoint, API),
    }
    services = {}
    for role, dynamodb in behind.items():
        (tmp_path / role).mkdir()
        services[role] = Service(
            tmp_path / role,
            role=role,
            cache_url=redis.url.replace("redis://", "redis://service:any@"),
            history_url=dynamodb.url(table),
            retention_days=30,
            symbols_file=write_symbols(tmp_path),
            exchanges=market.setting,
            tiering="popular",
            rank_interval=1,
            **SIZES,
            **INTERVALS,
        ).started()
    api = services["api"]
    wait_for(lambda: api.get("/ready").json.get("ready"), what="readiness")
    assert api.post(f"/refresh/{ASSET}").status == 200
    assert api.get(f"/prices/{ASSET}").status == 200
    wait_for(lambda: bool(api.get(f"/prices/{ASSET}/history").json["prices"]), what="history in the table")
    for role, service in services.items():
        assert service.process.stop() == 0, service.process.output
        assert "NOPERM" not in service.process.output
        assert "AccessDenied" not in service.process.output
        behind[role].stop()
    assert behind["refresher"].called == REFRESHER - {"Query"}, "a refresher reads only where it finds nothing at hand"
    assert behind["api"].called == API


def test_without_the_table_the_start_says_what_is_missing(dynamodb_running: DynamoServer, tmp_path: Path) -> None:
    """Without the table, the start ends with a line that names the missing right, without a traceback."""
    behind = Guarded(dynamodb_running.endpoint, REFRESHER)
    said = refusal(tmp_path, history_url=behind.url("not-there"))
    behind.stop()
    assert "AccessDeniedException" in said
    assert "CreateTable" in behind.called
