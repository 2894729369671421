"""An S3 server for tests: SeaweedFS, which checks signatures and conditions and outlives a kill; else moto."""

import json
import os
import shutil
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGKILL
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.parts.ports import lasting_port
from tests.parts.process import Process, wait_for

KEY, SECRET = "archive-key", "archive-secret"
READ_KEY, READ_SECRET = "reader-key", "reader-secret"
_ACTIONS = {(KEY, SECRET): ["Admin", "Read", "Write", "List", "Tagging"], (READ_KEY, READ_SECRET): ["Read", "List"]}


def seaweedfs() -> str | None:
    """Return the path of SeaweedFS' program; None where the wheel is not installed."""
    return shutil.which("weed", path=str(Path(sys.executable).parent))


class S3Server:
    """A server whose data are in `folder`. Each test has a bucket of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = _distinct_ports(8)
        self.endpoint = f"http://127.0.0.1:{self._ports[0]}"
        self.environment = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
        self.is_real = seaweedfs() is not None
        self.client: Any = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
            config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
        )
        self.start()

    def start(self) -> None:
        """Start the server, on the data that are there, and wait until it answers."""
        self.process = Process(self._command())
        wait_for(self._answers, what="the S3 server")

    def kill(self) -> None:
        """Kill the server, as a power cut of its process would."""
        self.process.stop(SIGKILL)

    def bucket(self) -> str:
        """Create a bucket; return its name."""
        name = f"lake-{uuid.uuid4().hex[:12]}"
        self.client.create_bucket(Bucket=name)
        return name

    def url(self, bucket: str) -> str:
        """Return the address of an archive in a bucket."""
        return f"s3://{bucket}/archive?region=us-east-1&endpoint={self.endpoint}"

    def close(self) -> None:
        """End the server."""
        self.client.close()
        self.kill()

    def _command(self) -> list[str]:
        program = seaweedfs()
        if program is None:
            return [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self._ports[0])]
        config = self._folder / "s3.json"
        identities = [
            {"name": key, "credentials": [{"accessKey": key, "secretKey": secret}], "actions": actions}
            for (key, secret), actions in _ACTIONS.items()
        ]
        config.write_text(json.dumps({"identities": identities}))
        names = ("s3.port", "master.port", "volume.port", "filer.port")
        ports = [f"-{name}={port}" for name, port in zip(names, self._ports[:4], strict=True)]
        ports += [f"-{name}.grpc={port}" for name, port in zip(names, self._ports[4:], strict=True)]
        without = ("-s3.port.iceberg=0", "-s3.port.lance=0")  # they would have one port for all servers of the machine
        return [
            *(program, "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={self._folder}", "-volume.max=100"),
            *("-filer", "-s3", f"-s3.config={config}", "-master.volumeSizeLimitMB=64", *without, *ports),
            # A server that is alone would wait 10 s for others before it elects itself.
            *("-master.electionTimeout=1s", "-master.telemetry=false"),
        ]

    def _answers(self) -> bool:
        assert self.process.child.poll() is None, self.process.output
        name = "ready"
        try:
            self.client.create_bucket(Bucket=name)
            self.client.put_object(Bucket=name, Key="one", Body=b"1")
        except ClientError as error:
            return (
                error.response["Error"]["Code"] in ("BucketAlreadyExists", "BucketAlreadyOwnedByYou") and self._puts()
            )
        except BotoCoreError:
            return False
        return True

    def _puts(self) -> bool:
        try:
            self.client.put_object(Bucket="ready", Key="one", Body=b"1")
        except (BotoCoreError, ClientError):
            return False
        return True


def _distinct_ports(number: int) -> list[int]:
    found: set[int] = set()
    while len(found) < number:
        found.add(lasting_port())
    return [*found]


@contextmanager
def s3_running(folder: Path) -> Iterator[S3Server]:
    """Yield a server whose credentials are in the environment."""
    before = {name: os.environ.get(name) for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    server = S3Server(folder)
    os.environ.update(server.environment)
    try:
        yield server
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        server.close()
