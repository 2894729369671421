"""Metrics that are measured at each scrape: of the machine, of the port's processes, and of the build."""

import multiprocessing
import os
import platform
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from aggregator.observability.version import version


class Processes(Collector):
    """The sums over all processes of one port, under the names of prometheus-client's ProcessCollector."""

    def collect(self) -> list[Metric]:
        """Return memory, processor time and open files."""
        started_by = multiprocessing.parent_process()  # not the fork server between them; None in a process of its own
        parent = psutil.Process(os.getpid() if started_by is None else started_by.pid)
        memory, seconds, files = 0, 0.0, 0
        for process in (parent, *parent.children(recursive=True)):
            with suppress(psutil.Error):  # a process may end meanwhile
                with process.oneshot():
                    times = process.cpu_times()
                    memory += process.memory_info().rss
                    files += process.num_fds()
                seconds += times.user + times.system
        return [
            GaugeMetricFamily(
                "process_resident_memory_bytes",
                "Resident memory of all processes of the port; shared pages count in each.",
                value=memory,
            ),
            CounterMetricFamily("process_cpu_seconds", "CPU time of all processes of the port.", value=seconds),
            GaugeMetricFamily("process_open_fds", "Open files of all processes of the port.", value=files),
        ]


class Machine(Collector):
    """The machine's load. CPU usage is that between the last two calls of `measure`, all from one thread."""

    def __init__(self) -> None:
        self._cpu_percent = psutil.cpu_percent()  # 0: it begins the first interval
        self._disks = [Path()]

    def watch_disks(self, folders: Iterable[Path]) -> None:
        """Measure the disks of these folders beside that of the current one, each disk once. Missing ones are left out.

        In a container, the current folder is on another disk than the volume whose files grow.
        """
        known = {one.stat().st_dev for one in self._disks}
        for folder in folders:
            with suppress(OSError):
                device = folder.stat().st_dev
                if device not in known:
                    known.add(device)
                    self._disks.append(folder)

    def measure(self) -> None:
        """Measure the CPU usage. psutil keeps the beginning of the interval for each thread."""
        self._cpu_percent = psutil.cpu_percent()

    def collect(self) -> list[GaugeMetricFamily]:
        """Return the three gauges."""
        disk = GaugeMetricFamily(
            "price_system_disk_usage_percent",
            "Used share of each disk that has the working folder or files of the service.",
            labels=["path"],
        )
        for folder in self._disks:
            with suppress(OSError):  # it may be gone
                usage = shutil.disk_usage(folder)
                disk.add_metric([str(folder)], 100 * usage.used / max(usage.total, 1))
        return [
            GaugeMetricFamily("price_system_cpu_usage_percent", "Used share of all cores.", value=self._cpu_percent),
            GaugeMetricFamily(
                "price_system_memory_usage_percent", "Used share of the memory.", value=psutil.virtual_memory().percent
            ),
            disk,
        ]


class Build(Collector):
    """The versions of the service and of Python, as labels of a constant 1."""

    def collect(self) -> list[GaugeMetricFamily]:
        """Return the gauge."""
        build = GaugeMetricFamily(
            "price_build_info",
            "Always 1; the labels have the versions of the service and of Python.",
            labels=["version", "python"],
        )
        build.add_metric([version(), platform.python_version()], 1)
        return [build]
