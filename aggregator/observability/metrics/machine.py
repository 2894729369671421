"""What is measured when it is asked for: the machine, the processes of the port, and which version they are."""

import os
import platform
import shutil
from contextlib import suppress

import psutil
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from aggregator.observability.version import version


class Processes(Collector):
    """The processes of one port together, under the names that one process has by itself."""

    def collect(self) -> list[Metric]:
        """Return their memory, processor time and open files as they are now."""
        parent = psutil.Process(os.getppid())
        memory, seconds, files = 0, 0.0, 0
        for process in (parent, *parent.children(recursive=True)):
            with suppress(psutil.Error):  # it may end while we look
                with process.oneshot():
                    times = process.cpu_times()
                    memory += process.memory_info().rss
                    files += process.num_fds()
                seconds += times.user + times.system
        return [
            GaugeMetricFamily("process_resident_memory_bytes", "Of all processes together.", value=memory),
            CounterMetricFamily("process_cpu_seconds", "Of all processes together.", value=seconds),
            GaugeMetricFamily("process_open_fds", "Of all processes together.", value=files),
        ]


class Machine(Collector):
    """The machine's load, read when it is asked for. CPU is the share since the last scrape."""

    def __init__(self) -> None:
        psutil.cpu_percent()  # the first reading only sets the mark the next one measures from

    def collect(self) -> list[GaugeMetricFamily]:
        """Return the four gauges as they are now."""
        disk = GaugeMetricFamily("price_system_disk_usage_percent", "Used, of the whole disk.", labels=["path"])
        usage = shutil.disk_usage(".")
        disk.add_metric(["."], 100 * usage.used / usage.total)
        return [
            GaugeMetricFamily("price_system_cpu_usage_percent", "All cores.", value=psutil.cpu_percent()),
            GaugeMetricFamily("price_system_memory_usage_percent", "Of all.", value=psutil.virtual_memory().percent),
            disk,
        ]


class Build(Collector):
    """Which version this is, as labels of a constant 1."""

    def collect(self) -> list[GaugeMetricFamily]:
        """Return the one gauge."""
        build = GaugeMetricFamily("price_build_info", "Always 1.", labels=["version", "python"])
        build.add_metric([version(), platform.python_version()], 1)
        return [build]
