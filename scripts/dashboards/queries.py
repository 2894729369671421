"""Queries shared by several panels. `{@` begins a selector of the chosen values, `[@]` is Grafana's window."""

_OURS = 'endpoint!~"/(health|ready|metrics)"'  # without the requests of probes and of Prometheus
CALLS = "sum by (exchange) (rate(price_exchange_requests_total{@}[@]))"

ASKED = f"sum(rate(price_api_requests_total{{@, {_OURS}}}[@]))"
AGE_IN_INTERVALS = "instance_tier:price_age:intervals{@}"
OF_READS = "(sum(rate(price_reads_total{@}[@])) > 0)"
HITS = (
    "sum(rate(price_cache_hits_total{@}[@]))"
    " / (sum(rate(price_cache_hits_total{@}[@])) + sum(rate(price_cache_misses_total{@}[@])) > 0)"
)
STALE = (
    "sum by (tier) (rate(price_stale_served_total{@}[@]))"
    " / (sum by (tier) (rate(price_age_at_read_seconds_count{@}[@])) > 0)"
)


def errors(status: str) -> str:
    """Return the share of answers with a matching status: zero when there are none."""
    some = f'sum(rate(price_api_requests_total{{@, {_OURS}, status=~"{status}"}}[@]))'
    return or_zero(f"({some} or vector(0)) / ({ASKED} > 0)")


def or_zero(query: str, label: str = "") -> str:
    """Return the query, or zero where it has no series; the series of zero has the value `none` for `label`."""
    zero = f'label_replace(vector(0), "{label}", "none", "", "")' if label else "vector(0)"
    return f"{query} or on () {zero}"


def quantile(share: float, histogram: str, by: str = "", more: str = "") -> str:
    """Return a quantile of a histogram over the window."""
    labels = ", ".join(filter(None, ("le", by)))
    return f"histogram_quantile({share}, sum by ({labels}) (rate({histogram}_bucket{{@{more}}}[@])))"


def mean(histogram: str, by: str) -> str:
    """Return the mean of a histogram or summary over the window."""
    return f"sum by ({by}) (rate({histogram}_sum{{@}}[@])) / sum by ({by}) (rate({histogram}_count{{@}}[@]))"


def latency(share: float) -> str:
    """Return a quantile of the time that answers below /prices take."""
    return quantile(share, "price_api_request_duration_seconds", more=', endpoint="/prices"')


def in_intervals(histogram: str) -> str:
    """Return the p95 of ages by tier, in the tier's intervals."""
    return f"{quantile(0.95, histogram, 'tier')} / on (tier) max by (tier) (price_refresh_interval_seconds{{@}})"


def or_none(counter: str, label: str) -> str:
    """Return the rate by exchange and `label`, and a line at zero for each exchange, unlike missing data."""
    return f"sum by (exchange, {label}) (rate({counter}{{@}}[@])) or 0 * {CALLS}"
