"""Properties of the routes by path, for middleware that counts or refuses requests before routing."""

from collections.abc import Iterable

from aggregator.api.route import Route, UndescribedRoute

OTHER = "/other"  # the label of paths that belong to no route


class RouteTable:
    """The metric labels, streams, probes and open paths of the routes. Raises UndescribedRoute for a label conflict."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._labels: dict[str, str] = {}  # by the first segment of the path
        self._open_paths: set[str] = set()
        self._open_prefixes: tuple[str, ...] = ()
        self.streams: set[str] = set()
        self.probes: set[str] = set()
        for route in routes:
            self._add(route)

    @property
    def labels(self) -> list[str]:
        """Every label that `label_of` returns."""
        return [*dict.fromkeys(self._labels.values()), OTHER]

    def label_of(self, path: str) -> str:
        """Return the metric label of a path.

        A label never contains what a client sent: clients could otherwise create any number of time series.
        """
        return self._labels.get(_first_segment(path), OTHER)

    def is_open(self, path: str) -> bool:
        """Whether the path never needs a key."""
        return path in self._open_paths or path.startswith(self._open_prefixes)

    def _add(self, route: Route) -> None:
        label = self._labels.setdefault(_first_segment(route.path), route.label)
        if label != route.label:
            raise UndescribedRoute(
                f"{route} has the metric label {route.label}, but other routes below /{_first_segment(route.path)} have"
                f" {label}. Requests are counted by the first segment of their path: use one label for all of them."
            )
        if route.is_stream:
            self.streams.add(route.path)
        if route.is_probe:
            self.probes.add(route.path)
        if route.access == "open":
            prefix, parameter, _ = route.path.partition("{")
            if parameter:
                self._open_prefixes += (prefix,)
            else:
                self._open_paths.add(route.path)


def _first_segment(path: str) -> str:
    return path[1:].partition("/")[0]
