"""Settings and files that must stop the start: with one clear line, without waiting and without a traceback."""

import os
import re
import socket
from pathlib import Path

import pytest

from tests.parts.kafka import Broker
from tests.parts.ports import free_port
from tests.parts.service import Service, refusal

pytestmark = pytest.mark.real


def test_a_missing_symbols_file(tmp_path: Path) -> None:
    """A missing symbols file: the line has its path, the error, and the flag."""
    line = refusal(tmp_path, symbols_file=tmp_path / "nowhere.csv")
    assert re.search(r"cannot read .*nowhere\.csv: No such file.*--symbols-file", line)


def test_a_broken_symbols_file(tmp_path: Path) -> None:
    """A symbols file with errors: the line has the line numbers."""
    file = tmp_path / "symbols.csv"
    file.write_text("symbol\nbtcusdt\nBTC/USDT\nbtcusdt\n")
    line = refusal(tmp_path, symbols_file=file)
    assert "line 3: " in line
    assert "line 4: " in line


def test_a_symbols_file_that_is_no_text(tmp_path: Path) -> None:
    """A symbols file that is not UTF-8."""
    (tmp_path / "symbols.csv").write_bytes(b"symbol\n\xff\xfe\n")
    assert "not UTF-8" in refusal(tmp_path, symbols_file=tmp_path / "symbols.csv")


def test_a_port_in_use(tmp_path: Path) -> None:
    """A port in use: the line has the port and the flag."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert re.search(rf"127\.0\.0\.1:{port}: Address already in use; choose.*--port", refusal(tmp_path, port=port))


def test_redis_cannot_be_reached(tmp_path: Path) -> None:
    """An unreachable Redis: the line has the setting, and no password."""
    line = refusal(tmp_path, cache_url=f"redis://:hunter2@127.0.0.1:{free_port()}/0")
    assert re.search(r"Redis.*AGGREGATOR_CACHE_URL", line)
    assert "hunter2" not in line


def test_dynamodb_cannot_be_reached(tmp_path: Path) -> None:
    """An unreachable DynamoDB: the line has the setting."""
    line = refusal(tmp_path, history_url=f"dynamodb://prices?endpoint=http://127.0.0.1:{free_port()}")
    assert re.search(r"DynamoDB.*AGGREGATOR_HISTORY_URL", line)


def test_kafka_cannot_be_reached(tmp_path: Path) -> None:
    """An unreachable broker: the line has its address and the setting."""
    port = free_port()
    line = refusal(tmp_path, trades_log=f"kafka://127.0.0.1:{port}/topic")
    assert re.search(rf"127\.0\.0\.1:{port}.*AGGREGATOR_TRADES_LOG", line)


def test_authorities_that_are_missing(tmp_path: Path) -> None:
    """The line names the setting; the password is not shown."""
    line = refusal(
        tmp_path,
        trades_log="kafka://127.0.0.1:1/topic?security=tls",
        kafka_ca="/nowhere.pem",
        kafka_username="user",
        kafka_password="hunter2",  # noqa: S106  # the example
    )
    assert re.search(r"Kafka.*ssl\.ca\.location.*AGGREGATOR_KAFKA_", line)
    assert "hunter2" not in line


def test_a_topic_that_is_missing(tmp_path: Path, kafka_running: Broker) -> None:
    """The line names the topic and says what to do."""
    line = refusal(tmp_path, trades_log=kafka_running.url("nowhere"))
    assert re.search(r"topic nowhere.*create the topic.*AGGREGATOR_TRADES_LOG", line)


def test_a_history_file_that_cannot_be(tmp_path: Path) -> None:
    """A history file in a missing folder: the line has the setting."""
    assert "AGGREGATOR_HISTORY_URL" in refusal(tmp_path, history_url=f"sqlite:///{tmp_path}/nowhere/prices.db")


def test_wrong_settings_are_all_named(tmp_path: Path) -> None:
    """Every wrong setting gets a line; exit code 2."""
    service = Service(tmp_path, port=-1, hot_interval=0, cach_url="memory://")
    assert service.process.ended() == 2
    lines = service.process.output.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("aggregator: AGGREGATOR_") for line in lines)


def test_wrong_flags(tmp_path: Path) -> None:
    """A wrong flag prints the usage with exit code 2; --help exits with 0 and lists every setting."""
    service = Service(tmp_path, "serve", "--nonsense")
    assert service.process.ended() == 2
    assert "usage:" in service.process.output
    service = Service(tmp_path, "serve", "--help")
    assert service.process.ended() == 0
    assert "--hot-interval" in service.process.output
    service = Service(tmp_path, "nonsense")
    assert service.process.ended() == 2


@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "10 GB"])
def test_a_symbols_file_that_would_keep_the_start_waiting(tmp_path: Path, kind: str) -> None:
    """A symbols file that is a FIFO or too large is one line; the start does not wait for it."""
    path = tmp_path / "symbols.csv"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        with path.open("wb") as file:
            file.truncate(10 << 30)  # a sparse file
    why = "is larger than 16 MiB" if kind == "10 GB" else "is no regular file"
    assert refusal(tmp_path, symbols_file=path) == f"aggregator: {path} {why}; name a file with --symbols-file"


def test_an_unknown_parameter_in_the_address_of_redis(tmp_path: Path) -> None:
    """An unknown parameter in the Redis URL is named in one line, without the password."""
    line = refusal(tmp_path, code=2, cache_url="redis://user:hunter2@localhost:6379/0?x=1")
    assert line == (
        "aggregator: AGGREGATOR_CACHE_URL: redis:// takes no parameter 'x', only client_name, db, "
        "health_check_interval, protocol"
    )
