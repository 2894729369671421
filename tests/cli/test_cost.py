"""`aggregator cost`: the arithmetic, the list of prices, and wrong options."""

from pathlib import Path

import msgspec
import pytest

from aggregator.cli.cost import units
from aggregator.cli.cost.price_list import read_prices
from aggregator.cli.cost.shapes import SHAPES, Load, Shape, lines_of, per_million
from aggregator.cli.main import main
from tests.parts.process import ROOT

DAY = 86_400.0
LOAD = Load(
    rate=500, assets=1000, retention=2 * DAY, delivered=0, archive_days=30, has_log=False, endpoints=0, alarms=0
)


def dollars(shape: Shape, load: Load, part: str) -> float:
    """Return the monthly dollars of the parts whose names begin so."""
    return sum(line.dollars for line in lines_of(shape, load, read_prices()) if line.part.startswith(part))


def test_a_trade_in_dynamodb_is_one_write() -> None:
    """500 a second in 730 hours are 1,314 million writes, at 0.625 dollars a million."""
    assert dollars("dynamodb", LOAD, "hot store: writes") == pytest.approx(1314 * 0.625)
    kept = 500 * 2 * DAY * units.ITEM_BYTES / 1e9
    assert dollars("dynamodb", LOAD, "hot store: kept") == pytest.approx(kept * 0.25)


def test_the_archive_reads_each_partition_once_a_flush() -> None:
    """8,000 partitions of few trades are half a unit each; of many, the pages of 4 KB count."""
    flushes = 730 * 12
    read = "hot store: read"
    few = msgspec.structs.replace(LOAD, rate=100.0)  # 4 trades of 258 bytes in a partition
    assert dollars("dynamodb", few, read) == pytest.approx(flushes * 8000 / 2 / 1e6 * 0.125)
    many = msgspec.structs.replace(LOAD, rate=8000.0)  # 300 trades of 258 bytes in a partition: 19 pages
    assert dollars("dynamodb", many, read) == pytest.approx(flushes * 8000 * 19 / 2 / 1e6 * 0.125)


def test_the_archive_writes_files_and_a_manifest_each_flush() -> None:
    """A file has a million trades at most: 30,000 a second are nine files in 300 s."""
    for rate, files in ((500.0, 1), (30_000.0, 9)):
        load = msgspec.structs.replace(LOAD, rate=rate)
        assert dollars("archive", load, "archive: writes") == pytest.approx(730 * 12 * (files + 1) / 1e6 * 5)


def test_shards_and_machines_follow_the_rate() -> None:
    """A shard takes 800 of its 1,000 records a second; two machines at least, more where their CPU is used up."""
    streamed = msgspec.structs.replace(LOAD, has_log=True)
    parts = [line.part for line in lines_of("archive", streamed, read_prices())]
    assert "log: 1 shard" in parts
    assert "machines: 2 t4g.small" in parts
    parts = [line.part for line in lines_of("archive", msgspec.structs.replace(streamed, rate=60_000), read_prices())]
    assert "log: 75 shards" in parts
    assert "machines: 3 c7g.large" in parts


@pytest.mark.parametrize("shape", SHAPES)
def test_a_million_costs_the_sum_of_its_parts(shape: Shape) -> None:
    """Every part of a month divided by its million trades."""
    lines = lines_of(shape, LOAD, read_prices())
    assert all(line.dollars >= 0 for line in lines)
    assert per_million(lines, LOAD) == pytest.approx(sum(line.dollars for line in lines) / 1314)


def test_the_command_prints_every_shape(capsys: pytest.CaptureFixture[str]) -> None:
    """With the rate, the date of the prices, and a total for each."""
    assert main(["cost", "--events-per-second", "30000", "--retention", "7d"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("30,000 trades a second of 1,000 assets: 78,840 million a month of 730 h\n")
    assert "to be checked" in said
    assert [line for line in said.splitlines() if line in SHAPES] == list(SHAPES)
    assert said.count("\ntotal ") == len(SHAPES)


ROWS: dict[str, tuple[Shape, list[str]]] = {
    "DynamoDB, Kinesis, private subnets": ("dynamodb", []),
    "the same, all endpoints in each of two zones": ("dynamodb", ["--endpoints", "14"]),
    "the same, all endpoints in one zone": ("dynamodb", ["--endpoints", "7"]),
    "DynamoDB, trades over HTTP, no endpoints": ("dynamodb", ["--log", "none", "--endpoints", "0"]),
    "SQLite and the archive, Kinesis, private subnets": ("archive", []),
    "the same, six endpoints in one zone": ("archive", ["--endpoints", "6"]),
    "SQLite and the archive, trades over HTTP, four endpoints in one zone": (
        "archive",
        ["--log", "none", "--endpoints", "4"],
    ),
    "SQLite and the archive, trades over HTTP, no endpoints": ("archive", ["--log", "none", "--endpoints", "0"]),
    "PostgreSQL, Kinesis, private subnets": ("postgresql", []),
    "PostgreSQL, trades over HTTP, no endpoints": ("postgresql", ["--log", "none", "--endpoints", "0"]),
}
GOALS = {"dynamodb": 0.75, "archive": 0.05}  # dollars a million, at either rate


@pytest.mark.parametrize("row", ROWS)
def test_the_document_has_the_figures_of_the_command(row: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each row of docs/cost.md is what the command prints for its options, rounded."""
    shape, options = ROWS[row]
    (line,) = [line for line in (ROOT / "docs/cost.md").read_text().splitlines() if line.startswith(f"| {row} |")]
    for rate, written in zip(("500", "30000"), line.strip("| ").split(" | ")[1:], strict=True):
        assert main(["cost", "--events-per-second", rate, "--shape", shape, *options]) == 0
        (total,) = [said for said in capsys.readouterr().out.splitlines() if said.startswith("total ")]
        digits = len(written.partition(".")[2])
        assert f"{float(total.split()[-1]):.{digits}f}" == written


@pytest.mark.parametrize("rate", ["500", "30000"])
@pytest.mark.parametrize(("shape", "most"), GOALS.items())
def test_the_goals_are_met(rate: str, shape: Shape, most: float, capsys: pytest.CaptureFixture[str]) -> None:
    """In private subnets; the archive alone at 500 a second over HTTP, with four endpoints in one zone."""
    options = ["--log", "none", "--endpoints", "4"] if (rate, shape) == ("500", "archive") else []
    assert main(["cost", "--events-per-second", rate, "--shape", shape, *options]) == 0
    assert float(capsys.readouterr().out.split()[-1]) <= most


def test_prices_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They replace those of the package; names that the file lacks keep theirs."""
    file = tmp_path / "prices.csv"
    file.write_text("name,dollars\ndynamodb_write,1.25\n")
    assert read_prices(file.read_text().splitlines()) == {**read_prices(), "dynamodb_write": 1.25}
    assert main(["cost", "--shape", "dynamodb", "--prices", str(file)]) == 0
    assert "1,642.50" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "the first line must be name,dollars"),
        ("name,dollars\nnosuch,1\n", "'nosuch' is no name of a price"),
        ("name,dollars\nalarm,cheap\n", "line 2: 'cheap' is no price in dollars"),
        ("name,dollars\nalarm,-1\n", "line 2: '-1' is no price in dollars"),
        ("name,dollars\nalarm\n", "line 2: None is no price in dollars"),
    ],
)
def test_a_wrong_list_of_prices(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, why: str) -> None:
    """It is refused with the line and the reason."""
    file = tmp_path / "prices.csv"
    file.write_text(text)
    assert main(["cost", "--prices", str(file)]) == 1
    assert why in capsys.readouterr().err
    assert main(["cost", "--prices", str(tmp_path / "missing.csv")]) == 1
    assert "cannot read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "why"),
    [
        ("--events-per-second=0", "is not a rate from 0.001 to 1e+07"),
        ("--events-per-second=nan", "is not a rate"),
        ("--retention=soon", "is not a duration such as 48h or 7d"),
        ("--delivered=2", "is not a share from 0 to 1"),
        ("--assets=0", "is not a whole number from 1"),
    ],
)
def test_a_wrong_option(capsys: pytest.CaptureFixture[str], option: str, why: str) -> None:
    """It is refused with what is allowed."""
    with pytest.raises(SystemExit) as ended:
        main(["cost", option])
    assert ended.value.code == 2
    assert why in capsys.readouterr().err
