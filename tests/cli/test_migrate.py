"""`aggregator migrate`, and the doctor's checks of PostgreSQL."""

import os

import pytest

from aggregator.cli.doctor.checks import Level
from aggregator.cli.doctor.report import without_secrets
from aggregator.cli.doctor.stores import history_checks
from aggregator.cli.doctor.trades import trade_checks
from aggregator.settings.loader import load
from tests.parts.commands import run_command
from tests.parts.postgres import PASSWORD, PostgresServer

pytestmark = pytest.mark.real


def migrate(url: str, *more: str) -> tuple[int, str, str]:
    """Run the command on the history; return its exit code, output and errors."""
    environment = os.environ | {"AGGREGATOR_POSTGRES_PASSWORD": PASSWORD.get_secret_value()}
    done = run_command("migrate", "--history-url", url, *more, environment=environment)
    return done.returncode, done.stdout, done.stderr


def test_steps_are_applied_once_and_printed(postgres_running: PostgresServer) -> None:
    """--check changes nothing and fails while a step is lacking."""
    database = postgres_running.new_database()
    url, place = postgres_running.url(database), postgres_running.address(database).place
    code, said, error = migrate(url, "--check")
    steps = ("0001 trades", "0002 prices", "0003 events", "0004 archivers")
    assert (code, said) == (1, "".join(f"{place}: lacks {step}\n" for step in steps))
    assert "4 steps of the schema are not applied; run aggregator migrate" in error
    code, said, _ = migrate(url)
    assert (code, said) == (0, "".join(f"{place}: applied {step}\n" for step in steps))
    for more in ((), ("--check",)):
        assert migrate(url, *more) == (0, f"{place}: up to date\n", "")


def test_without_postgresql_there_is_nothing_to_migrate() -> None:
    """The error names the settings."""
    code, _, error = migrate("sqlite:///x.db")
    assert code == 1
    assert "PostgreSQL; set --history-url, AGGREGATOR_TRADES_URL or AGGREGATOR_EVENTS_URL" in error


async def test_the_doctor_checks_schema_and_rights(postgres_running: PostgresServer) -> None:
    """A schema that lacks steps is a warning; a missing right is a failure that names it; no secret is shown."""
    database = postgres_running.new_database()
    url = postgres_running.url(database)
    secret = PASSWORD.get_secret_value()

    async def findings(url: str) -> list[tuple[Level, str]]:
        settings = load({"history_url": url, "trades_url": url, "postgres_password": secret})
        checks = {**history_checks(settings), **trade_checks(settings, 60)}
        assert list(checks) == ["outbox", "postgresql", "trades"]
        found = [one for name in ("postgresql", "trades") for one in await checks[name]()]
        return [(one.level, f"{one.says}; {one.mend}") for one in without_secrets(found, settings)]

    for level, says in await findings(url):
        assert level is Level.WARN
        assert "lacks 4 steps of the schema" in says
    assert migrate(url)[0] == 0
    for level, says in await findings(url):
        assert level is Level.OK
        assert "can be used" in says
    postgres_running.sql(f"CREATE ROLE {database} LOGIN PASSWORD '{secret}'", database)
    postgres_running.sql(f"GRANT SELECT, INSERT ON trades TO {database}", database)
    postgres_running.sql(f"GRANT SELECT, INSERT, UPDATE, DELETE ON prices TO {database}", database)
    postgres_running.sql(f"GRANT SELECT ON aggregator_migrations TO {database}", database)
    prices, trades = await findings(url.replace("aggregator@", f"{database}@"))
    assert prices[0] is Level.OK
    assert trades[0] is Level.FAIL
    assert "does not let us DELETE on trades" in trades[1]
    for level, says in await findings(url.replace(database, "nosuch")):
        assert level is Level.FAIL
        assert 'database "nosuch" does not exist' in says
        assert secret not in says
