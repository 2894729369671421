"""The search for unusual trades, of a process that processes trades."""

from aggregator.anomalies.analytic import Anomalies
from aggregator.anomalies.event import Anomaly
from aggregator.runtime.process import Process
from aggregator.trades.event_writer import EventWriter
from aggregator.trades.ports import EventReader

_FOLDER = "anomalies"
_DRAIN_SECONDS = 0.5  # for the last findings of a worker that has ended


async def open_anomalies(process: Process, stored: EventReader, writer: EventWriter[Anomaly]) -> Anomalies:
    """Return the analytic, which runs from now on."""
    settings, metrics = process.settings, process.metrics
    folder = settings.state_dir / _FOLDER
    analytic = Anomalies(writer, stored, metrics.anomalies, folder, settings.anomaly_cpu)
    await process.keep_running(analytic)
    process.stack.push_async_callback(analytic.drain, _DRAIN_SECONDS)
    metrics.before_text(analytic.report)
    return analytic
