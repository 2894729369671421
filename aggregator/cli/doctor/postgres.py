"""Checks of PostgreSQL: version, schema and rights."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from aggregator.cli.doctor.checks import Finding, failure, passed, warning
from aggregator.errors import StoreError
from aggregator.settings import Settings
from aggregator.stores.postgres.address import REMEDY, PostgresAddress

if TYPE_CHECKING:
    from aggregator.stores.postgres.connections import Connections

_SECONDS = 60.0  # --seconds ends the check before, and says so
_OLDEST = 130_000  # pg_current_xact_id
_STATE = "SELECT current_setting('server_version_num')::integer, current_setting('server_version'), pg_is_in_recovery()"
_RIGHTS = "SELECT right_ FROM unnest($1::text[]) AS right_ WHERE NOT has_table_privilege($2::text, right_)"


class CheckedDatabase(NamedTuple):
    """The name of a check, the table, the rights that the service needs on it, and the setting that names it."""

    check: str
    table: str
    rights: Sequence[str]
    setting: str


async def try_database(settings: Settings, address: PostgresAddress, checked: CheckedDatabase) -> Sequence[Finding]:
    """Check a database. It is not changed."""
    from aggregator.stores.postgres.connections import Connections  # noqa: PLC0415  # it imports asyncpg

    connections = Connections(address, settings.postgres_password, 1, _SECONDS)
    try:
        return await _judged(connections, settings, address, checked)
    except StoreError as error:
        return [failure(checked.check, str(error), f"{REMEDY} ({checked.setting})")]
    finally:
        await connections.close()


async def _judged(
    connections: "Connections", settings: Settings, address: PostgresAddress, checked: CheckedDatabase
) -> Sequence[Finding]:
    from aggregator.stores.postgres.migrations import pending  # noqa: PLC0415  # it imports asyncpg

    check, place = checked.check, address.place
    ((number, version, is_standby),) = await connections.fetch(_STATE)
    if number < _OLDEST:
        return [failure(check, f"{place} is PostgreSQL {version}", "use 13 or newer")]
    if is_standby and settings.role != "api":
        return [failure(check, f"{place} is a standby, which takes no writes", f"name the primary ({checked.setting})")]
    if missing := await pending(address, settings.postgres_password):
        says = f"{place} lacks {len(missing)} steps of the schema"
        return [warning(check, says, "the service applies them if its user may create tables, or aggregator migrate")]
    rights = ["SELECT"] if settings.role == "api" else list(checked.rights)
    if refused := [row[0] for row in await connections.fetch(_RIGHTS, rights, checked.table)]:
        says = f"{place} does not let us {', '.join(refused)} on {checked.table}"
        return [failure(check, says, f"grant it to user {address.user}")]
    return [passed(check, f"{place} (PostgreSQL {version}) can be used")]
