"""One DynamoDB for all processes of pytest: the process that starts the others runs it once one of them wants it.

A start of DynamoDB Local takes 4 s of CPU, and its code gets faster with use.
"""

import socket
import tempfile
import threading
from pathlib import Path

from tests.parts.dynamodb import DynamoServer
from tests.parts.process import START_SECONDS

LENDER = "dynamodb_lender"  # the name of the socket's path in the input of a worker of xdist


class Lender:
    """Starts a DynamoDB when the first process asks for it, by a connection to the socket at `path`."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.path = str(Path(self._folder.name) / "dynamodb")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen()
        self._server: DynamoServer | None = None
        self._thread = threading.Thread(target=self._lend, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """End the DynamoDB."""
        self._listener.shutdown(socket.SHUT_RDWR)  # ends the wait for a connection
        self._thread.join(START_SECONDS)
        self._listener.close()
        if self._server is not None:
            self._server.stop()
        self._folder.cleanup()

    def _lend(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                if self._server is None:
                    self._server = DynamoServer()
                connection.sendall(str(self._server.port).encode())


class LentDynamo(DynamoServer):
    """The DynamoDB of a lender. Others use it, too: stop and hang a `DynamoProxy` instead."""

    def __init__(self, path: str) -> None:
        with socket.socket(socket.AF_UNIX) as lender:
            lender.settimeout(START_SECONDS)
            lender.connect(path)
            answer = lender.recv(16)
        assert answer, "the first process of pytest could not start DynamoDB; see its output"
        self.port = int(answer)

    def stop(self) -> None:
        """Leave it to the others."""
