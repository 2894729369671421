"""The doctor checks outlets without sending an event."""

import asyncio
from pathlib import Path

from aggregator.cli.doctor.checks import Level, run_checks
from aggregator.cli.doctor.outlets import outlet_file_checks
from aggregator.settings.loader import load
from tests.outlets.examined import findings_of
from tests.parts.certificates import server_context
from tests.parts.site import site


async def test_webhooks_are_connected_to_and_get_no_request(tmp_path: Path) -> None:
    """Each outlet has a finding: one that is reachable, one with a bad certificate, one that is away."""
    async with site() as plain, site(server_context(tmp_path)) as secure:
        away = "http://127.0.0.1:1/s3cr3t?name=away"
        bad = f"https://127.0.0.1:{secure.port}/s3cr3t?name=bad"
        found = await findings_of(f"{plain.url('/s3cr3t')}?name=plain;{bad};{away};stdout://")
    levels = {one.check: one.level for one in found}
    assert levels == {
        "outlet plain": Level.OK,
        "outlet bad": Level.FAIL,
        "outlet away": Level.FAIL,
        "outlet stdout": Level.OK,
    }
    texts = {one.check: f"{one.says}; {one.mend}" for one in found}
    assert "127.0.0.1 is reachable, without TLS; no event was sent" in texts["outlet plain"]
    assert "the certificate is not valid" in texts["outlet bad"]
    assert "connection refused" in texts["outlet away"]
    assert "s3cr3t" not in str(texts)
    assert plain.requests == secure.requests == []


async def test_a_process_that_sends_no_events_has_no_checks() -> None:
    """Such as one of the role api."""
    redis = {"role": "api", "cache_url": "redis://127.0.0.1"}
    assert await findings_of("stdout://", **redis) == []


def test_the_file_of_events(tmp_path: Path) -> None:
    """It must be writable, as the service does not start otherwise; no file is made."""
    levels = []
    for folder in ("", "no/"):
        settings = load({"outlets": "stdout://", "outlets_path": f"{tmp_path}/{folder}outlets.db"})
        (found, *_), _ = asyncio.run(run_checks(outlet_file_checks(settings), 10))
        assert found.check == "outlets"
        levels.append(found.level is Level.FAIL)  # a warning, where the folder of the test is lost with its container
    assert levels == [False, True]
    assert "AGGREGATOR_OUTLETS_PATH" in found.mend
    assert list(tmp_path.iterdir()) == []
