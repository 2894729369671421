"""The search for unusual trades, of a process that processes trades."""

from aggregator.anomalies.analytic import Anomalies
from aggregator.anomalies.event import Anomaly
from aggregator.api.events.anomalies import NOT_INSTALLED, SWITCHED_OFF
from aggregator.api.routing.responses import Refusal
from aggregator.runtime.process import Process
from aggregator.settings import Settings
from aggregator.trades.event_writer import EventWriter
from aggregator.trades.ports import EventReader

_FOLDER = "anomalies"
_DRAIN_SECONDS = 0.5  # for the last findings of a worker that has ended


def why_no_anomalies(settings: Settings) -> Refusal | None:
    """Return why no process looks for anomalies; None if one does. A process of role api may lack the library."""
    if settings.anomalies == "false":
        return SWITCHED_OFF
    return None if settings.finds_anomalies or settings.role == "api" else NOT_INSTALLED


async def open_anomalies(process: Process, stored: EventReader, writer: EventWriter[Anomaly]) -> Anomalies:
    """Return the analytic, which runs from now on."""
    settings, metrics = process.settings, process.metrics
    folder = settings.state_dir / _FOLDER
    analytic = Anomalies(writer, stored, metrics.anomalies, folder, settings.anomaly_cpu)
    await process.keep_running(analytic)
    process.stack.push_async_callback(analytic.drain, _DRAIN_SECONDS)
    metrics.before_text(analytic.report)
    return analytic
