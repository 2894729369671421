"""Checks of DynamoDB tables: keys, TTL and rights."""

from collections.abc import Sequence
from typing import NamedTuple

from aggregator.cli.doctor.checks import Finding, failure, passed, warning
from aggregator.cli.doctor.report import place
from aggregator.errors import StoreError, StoreRefused
from aggregator.runtime.attempts import attempt
from aggregator.stores.dynamodb import DynamoAddress
from aggregator.stores.dynamodb.connected_table import ConnectedTable

LONGEST_QUERY = 300.0  # seconds; --seconds ends the check before, and says so
_DAY = 86_400  # seconds


class CheckedTable(NamedTuple):
    """The name of a check, what the table keeps, the setting that names it, and what to do about errors.

    `retention` is in seconds; None keeps the records for good.
    """

    check: str
    records: str
    setting: str
    remedy: str
    retention: float | None


async def try_table(
    table: ConnectedTable, target: DynamoAddress, checked: CheckedTable, *, writing: bool
) -> Sequence[Finding]:
    """Check a table that is not connected yet, and close it."""
    name = f"table {target.table} in {place(target.endpoint) if target.endpoint else target.region}"
    try:
        await attempt(table.connect, checked.setting, checked.remedy)
        if not await table.exists():
            says = f"{name} does not exist yet"
            return [warning(checked.check, says, "the service creates it, if it may call dynamodb:CreateTable")]
        await table.try_rights(writing=writing)
        return await _expiry(table, name, checked)
    except StoreRefused as error:
        return [failure(checked.check, str(error), f"name another table ({checked.setting})")]
    except StoreError as error:
        return [failure(checked.check, f"{name}: {error}", f"{checked.remedy} ({checked.setting})")]
    finally:
        await table.close()


async def _expiry(table: ConnectedTable, name: str, checked: CheckedTable) -> Sequence[Finding]:
    if checked.retention is None:
        return [passed(checked.check, f"{name} can be used; it keeps all {checked.records}")]
    if await table.expires():
        days = f"{checked.retention / _DAY:g} days"
        return [passed(checked.check, f"{name} can be used; it deletes {checked.records} after {days}")]
    mend = "the service turns it on, if it may call dynamodb:UpdateTimeToLive"
    return [warning(checked.check, f"{name} deletes nothing yet: its TTL is off", mend)]
