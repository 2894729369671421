"""The findings of the doctor about outlets, without a process of its own."""

from aggregator.cli.doctor.checks import Finding, run_checks
from aggregator.cli.doctor.outlets import outlet_checks
from aggregator.settings.loader import load
from tests.parts.limits import allowed


async def findings_of(outlets: str, **flags: str) -> list[Finding]:
    """Return the findings about these outlets; private addresses are allowed."""
    settings = load({"outlets": outlets, "outlets_allow_private": "true", **flags})
    seconds = allowed(10)
    return (await run_checks(outlet_checks(settings, seconds), seconds))[0]
