"""The secret of a webhook, and what of its address may be one, is in no log, metric or state; an end is told aloud."""

from pathlib import Path

import pytest
from prometheus_client import generate_latest
from structlog.testing import capture_logs

from aggregator.observability.metrics import Metrics
from aggregator.outlets.definition import OutletParts
from aggregator.outlets.registry import make_outlet, outlets_of
from tests.outlets.receivers.webhook.receiving import status
from tests.outlets.recording import event, running, until
from tests.parts.site import Handler, reply, site

SECRET = "hunter2hunter2hunter2"  # noqa: S105  # of this test
FAULTS: dict[str, bytes | Handler] = {
    "503": status("503 Service Unavailable"),
    "garbage": b"\x00\xff garbage \r\n\r\n",
    "redirect": reply(b"", "302 Found", Location="http://169.254.169.254/"),
    "404": status("404 Not Found"),
    "410": status("410 Gone"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_no_secret_is_shown(fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the receiver answers. The address has a token in its path and in its query."""
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    async with site() as receiver:
        receiver.answers[f"/{SECRET}"] = FAULTS[fault]
        (address,) = outlets_of(f"{receiver.url(f'/{SECRET}')}?token={SECRET}&secret=env:HOOK_SECRET&name=desk")
        webhook = make_outlet(address, OutletParts(Metrics(), lambda: 0.0, allow_private=True))
        with capture_logs() as logs:
            async with running(tmp_path / "o.db", {"stdout://?name=desk": webhook}) as scene:
                await scene.outbox.hand_over([event(1)])
                await until(lambda: bool(logs))
                problems = scene.outbox.states.problems
                shown = f"{logs}{problems}{generate_latest(scene.metrics.registry).decode()}{address!r}{webhook!r}"
                letters = await scene.file.dead_letters(0, 10)
    assert receiver.requests
    assert SECRET not in shown
    assert SECRET not in str(letters)


async def test_410_is_told_aloud(tmp_path: Path) -> None:
    """As an error in the log, by the metric that the alert OutletEnded watches, and in /ready."""
    async with site() as receiver:
        receiver.answers["/hook"] = status("410 Gone")
        (address,) = outlets_of(receiver.url("/hook"))
        webhook = make_outlet(address, OutletParts(Metrics(), lambda: 0.0, allow_private=True))
        with capture_logs() as logs:
            async with running(tmp_path / "o.db", {"stdout://?name=desk": webhook}) as scene:
                await scene.outbox.hand_over([event(1), event(2)])
                await until(lambda: scene.value("outlet_away", outlet="desk") == 2)
                await until(lambda: bool(logs))
                ready = scene.outbox.states.problems
                lost = scene.value("outlet_events_given_up_total", topic="all")
    (line,) = [one for one in logs if one["event"] == "subscription_ended"]
    assert (line["log_level"], line["outlet"]) == ("error", "desk")
    assert ready == {"desk": "ended: HTTP 410: the receiver wants no more events"}
    assert lost == 2
