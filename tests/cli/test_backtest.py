"""`aggregator backtest` over a SQLite file: the table, the CSV, and what stops it."""

import asyncio
import csv
import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from aggregator.archive.datasets import TRADES
from aggregator.cli.backtest.command import Wanted, backtest
from aggregator.cli.main import main
from aggregator.errors import CannotGoOn
from aggregator.models import Trade, encode_as_strings
from aggregator.settings.loader import load
from aggregator.stores.trades.sqlite import SqliteTrades
from tests.parts.lake import write_lake
from tests.parts.paper_trading import NOW, RULES, naive_replay, traded

KEPT = "87600h"  # the trades of the examples are of 2023
DROP = [traded(100, 0, 1), traded(98, 60, 2), traded("102.9", 61, 3), traded(90, 121, 4)]


async def store(path: Path, trades: Sequence[Trade]) -> None:
    """Store trades in a file."""
    file = SqliteTrades(path, 1e12)
    await file.open()
    await file.add(trades)
    await file.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with trades of two assets."""
    (tmp_path / "symbols.csv").write_text("symbol,base,quote\nbtcusdt,btc,usdt\netheur,eth,eur\nsolusdt,sol,usdt\n")
    others = [msgspec.structs.replace(one, asset="etheur") for one in DROP[:2]]
    asyncio.run(store(tmp_path / "trades.db", [*DROP, *others]))
    return tmp_path


def run(folder: Path, *options: str, start: float = NOW, kept: str = KEPT, trades: str = "trades.db") -> int:
    """Run the command; return its exit code."""
    files = ["--trades-url", f"sqlite:///{folder}/{trades}", "--symbols-file", f"{folder}/symbols.csv"]
    try:
        return main(["backtest", "--from", str(start), "--trades-retention", kept, *files, *options])
    except SystemExit as end:
        return int(str(end.code))


def test_the_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each asset with positions, and totals by quote currency; the defaults are those of the settings."""
    assert run(folder) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Paper trading: buy for 1000 after -2 % in a minute, sell at +5 %, no stop"
    assert lines[1].startswith("6 trades of 3 assets, 2023-11-14T22:13:20.000Z to ")
    assert lines[-1] == "Total: 1 closed, 1 won, 2 open, profit 49.99999999 usdt"
    assert [line.split() for line in lines[2:-1]] == [
        ["asset", "trades", "closed", "won", "open", "profit", "quote"],
        ["btcusdt", "4", "1", "1", "1", "49.99999999", "usdt"],
        ["etheur", "2", "0", "0", "1", "0"],
    ]


def test_the_csv(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every position with all its digits, open ones without an exit; the file is replaced at the end."""
    path = folder / "positions.csv"
    path.write_text("before")
    assert run(folder, "--assets", "BTCUSDT", "--csv", str(path)) == 0
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    first, second = naive_replay(DROP, msgspec.structs.replace(RULES, stop=None))
    assert first.profit == Decimal(rows[0]["profit"])
    assert (float(rows[0]["entry_time"]), rows[0]["exit_reason"], rows[0]["paper"]) == (NOW + 60, "gain", "true")
    assert (float(rows[1]["entry_time"]), rows[1]["exit_price"]) == (second.entry.timestamp, "")
    assert len(rows) == 2
    assert "etheur" not in capsys.readouterr().out
    assert sorted(one.name for one in folder.iterdir() if "positions" in one.name) == ["positions.csv"]


def test_other_rules(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Flags replace the rules of the settings."""
    assert run(folder, "--drop", "1.5", "--gain", "4", "--stop", "3", "--amount", "50", "--assets", "btcusdt") == 0
    out = capsys.readouterr().out
    assert "buy for 50 after -1.5 % in a minute, sell at +4 %, stop at -3 %" in out
    assert "1 closed, 1 won, 1 open, profit 2.5 usdt" in out.replace("2.49999999", "2.5")


def test_the_range(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Trades before it only tell the momentum of the first ones in it."""
    assert run(folder, "--assets", "btcusdt", "--to", str(NOW + 60), start=NOW + 60) == 0
    out = capsys.readouterr().out
    assert "1 trade of 1 asset" in out
    assert "Total: 0 closed, 0 won, 1 open, profit 0" in out


def test_what_is_kept_no_longer(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The user is told that the store is asked for less than the range."""
    assert run(folder, start=1) == 0
    assert "are not read (--trades-retention, --archive-url)" in capsys.readouterr().out


def test_archived_trades(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Trades that the store keeps no longer come from the archive; together they give the same positions."""
    options = ["--assets", "btcusdt", "--csv", f"{folder}/positions.csv"]
    assert run(folder, *options) == 0
    expected = (folder / "positions.csv").read_bytes()
    asyncio.run(store(tmp_path / "hot.db", DROP[3:]))
    lake = tmp_path / "lake"
    rows = msgspec.json.decode(encode_as_strings(DROP[:3]))
    write_lake(lake, TRADES, rows)
    assert run(folder, *options, "--archive-url", str(lake), trades="none.db") == 1  # a missing file is named
    (tmp_path / "hot.db").rename(folder / "hot.db")
    kept = f"{int(time.time() - NOW) - 90}s"
    assert run(folder, *options, "--archive-url", str(lake), kept=kept, trades="hot.db") == 0
    assert (folder / "positions.csv").read_bytes() == expected
    assert "are not read" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--to", "1"], 2, "--from must not be after --to"),
        (["--to", "yesterday"], 2, "is neither unix seconds nor RFC 3339"),
        (["--drop", "0"], 2, "argument --drop: is not a number above 0, up to 100"),
        (["--drop", "nan"], 2, "argument --drop: is not a number above 0, up to 100"),
        (["--gain", "1001"], 2, "argument --gain: is not a number above 0, up to 1,000"),
        (["--stop", "100"], 2, "argument --stop: is not a number above 0, below 100, or none"),
        (["--amount", "1e13"], 2, "argument --amount: is not a number above 0, up to 1,000,000,000,000"),
        (["--amont", "1"], 2, "did you mean --amount?"),
        (["--assets", "btcusd"], 1, "'btcusd' is not in "),
        (["--assets", "btcusd"], 1, "did you mean btcusdt"),
        (["--assets", "btcusdt,"], 1, "'' is not in "),
        (["--assets", "solusdt"], 1, "no trade of solusdt is stored between"),
        (["--csv", "/nosuch/file.csv"], 1, "cannot write /nosuch/file.csv"),
        (["--trades-url", "memory://"], 1, "the trades of memory:// cannot be read by another process"),
        (["--trades-url", "sqlite:////nosuch/trades.db"], 1, "there is no file /nosuch/trades.db"),
        (
            ["--trades-url", "sqlite:///no.db"],
            1,
            "there is no file no.db; name the store of trades with --trades-url (the",
        ),
        (["--trades-url", "http://x"], 2, "--trades-url http://x: "),
    ],
)
def test_what_stops_it(
    folder: Path, capsys: pytest.CaptureFixture[str], options: list[str], code: int, said: str
) -> None:
    """With one sentence that names the option or the file."""
    assert run(folder, *options) == code
    told = capsys.readouterr()
    assert said in told.err
    assert "Traceback" not in told.err


async def test_a_stop(folder: Path) -> None:
    """Ends it; the file is not replaced, and nothing is left of the temporary one."""
    path = folder / "positions.csv"
    settings = load(
        {"trades_url": f"sqlite:///{folder}/trades.db", "symbols_file": f"{folder}/symbols.csv"}
        | {"trades_retention": KEPT}
    )
    stop = asyncio.Event()
    stop.set()
    with pytest.raises(CannotGoOn, match="stopped; nothing is written"):
        await backtest(settings, Wanted(NOW, NOW + 100, RULES, None, path), stop)
    assert await asyncio.to_thread(lambda: list(folder.glob("*positions*"))) == []
