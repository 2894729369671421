"""Settings: defaults, sources, and one line for every mistake, without secrets."""

import os
from decimal import Decimal

import pytest

from aggregator.exchanges.targets import exchange_targets
from aggregator.models import Tier
from aggregator.settings.loader import SettingsError, load, named_as_given, service_variables


def mistakes(**flags: str) -> list[str]:
    """Load wrong settings; return the error lines."""
    with pytest.raises(SettingsError) as refusal:
        load(flags)
    return refusal.value.mistakes


def test_the_defaults_are_safe_and_need_no_server() -> None:
    """They listen on this machine only, use memory and a local file, three mock exchanges, and no keys."""
    settings = load({})
    assert (settings.host, settings.port) == ("127.0.0.1", 8080)
    assert (settings.cache_url, settings.history_url) == ("memory://", "sqlite:///prices.db")
    assert len(exchange_targets(settings.exchanges)) == 3
    assert [settings.cadence[tier].interval for tier in Tier] == [5, 30, 300]
    assert settings.api_keys == ()


def test_flags_override_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment overrides the default; an empty variable counts as unset."""
    monkeypatch.setenv("AGGREGATOR_PORT", "1234")
    monkeypatch.setenv("AGGREGATOR_HOT_SIZE", "7")
    monkeypatch.setenv("AGGREGATOR_MEDIUM_SIZE", "")
    settings = load({"port": "4321"})
    assert (settings.port, settings.hot_size, settings.medium_size) == (4321, 7, 180)


@pytest.mark.parametrize(
    ("exchanges", "given", "expected"),
    [
        (None, None, 2),
        ("binance,kraken", None, 2),
        ("binance", None, 1),
        ("kraken=replay+file://kraken.rec.gz", None, 1),
        (None, "1", 1),
        ("binance,kraken,okx", "3", 3),
        (None, "", 2),
    ],
)
def test_the_default_of_min_sources(
    monkeypatch: pytest.MonkeyPatch, exchanges: str | None, given: str | None, expected: int
) -> None:
    """It is two with several exchanges and one with one exchange; an explicit value wins."""
    if given is not None:
        monkeypatch.setenv("AGGREGATOR_MIN_SOURCES", given)
    settings = load({} if exchanges is None else {"exchanges": exchanges})
    assert (settings.min_sources, settings.max_weight) == (expected, Decimal("0.5"))


def test_a_wrong_setting_is_reported_once() -> None:
    """The default derived from EXCHANGES is not reported beside it."""
    (mistake,) = mistakes(exchanges="nosuch")
    assert mistake.startswith("--exchanges nosuch: ")


def test_every_mistake_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three wrong settings and a misspelt one give four lines, each with the name of the setting."""
    monkeypatch.setenv("AGGREGATOR_HOT_SISE", "5")
    found = mistakes(port="99999", hot_interval="-1", max_deviation="nan")
    assert len(found) == 4
    assert found[0] == "AGGREGATOR_HOT_SISE: there is no such setting; did you mean AGGREGATOR_HOT_SIZE?"
    assert any(line.startswith("--port 99999: ") for line in found)
    assert any(line.startswith("--hot-interval -1: ") for line in found)
    assert any(line.startswith("--max-deviation nan: ") for line in found)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("port", "abc", "must be a whole number"),
        ("hot_interval", "soon", "must be a number"),
        ("outlets_allow_private", "maybe", "must be true or false"),
        ("retention_days", "-1", "must be greater than 0"),
        (
            "history_url",
            "dynamodb://p?endpoint=http://127.0.0.1:1",
            "must be dynamodb://table?region=us-east-1; the name of a table has 3 to 255 of letters, digits and . - _",
        ),
    ],
)
def test_a_mistake_is_named_as_it_was_given(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str
) -> None:
    """A flag as a flag, a variable as a variable, with what is allowed in the words of the documentation."""
    assert mistakes(**{name: value}) == [f"--{name.replace('_', '-')} {value}: {expected}"]
    monkeypatch.setenv(f"AGGREGATOR_{name.upper()}", value)
    assert mistakes() == [f"AGGREGATOR_{name.upper()}={value}: {expected}"]


def test_the_order_of_the_intervals() -> None:
    """The error has all three, since defaults are among them."""
    (mistake,) = mistakes(hot_interval="60")
    assert mistake.endswith("must hold, and they are hot_interval=60, medium_interval=30, cold_interval=300")


def test_a_contradiction_is_named_as_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings that do not go together name the flag that was typed, or the variable that was set."""
    assert mistakes(min_sources="9")[0].startswith("--min-sources 9 is more than the number of exchanges, 3:")
    assert mistakes(outlets="https://10.0.0.1/x")[0].startswith("--outlets: outlet 1: the host 10.0.0.1")
    variable = "Set the variable AGGREGATOR_OUTLETS instead"
    assert named_as_given(f"AGGREGATOR_OUTLETS=x. {variable}", {"outlets"}) == f"--outlets x. {variable}"
    monkeypatch.setenv("AGGREGATOR_MIN_SOURCES", "9")
    assert mistakes()[0].startswith("AGGREGATOR_MIN_SOURCES=9 is more than the number of exchanges, 3:")


KUBERNETES = {
    "AGGREGATOR_PORT": "tcp://10.0.0.1:8080",
    "AGGREGATOR_SERVICE_HOST": "10.0.0.1",
    "AGGREGATOR_SERVICE_PORT": "8080",
    "AGGREGATOR_SERVICE_PORT_HTTP": "8080",
    "AGGREGATOR_PORT_8080_TCP": "tcp://10.0.0.1:8080",
    "AGGREGATOR_PORT_8080_TCP_ADDR": "10.0.0.1",
    "AGGREGATOR_PORT_8080_TCP_PROTO": "tcp",
    "AGGREGATOR_PORT_8080_TCP_PORT": "8080",
    "AGGREGATOR_API_PORT": "tcp://10.0.0.2:8080",
    "AGGREGATOR_API_SERVICE_HOST": "10.0.0.2",
}


def test_variables_of_kubernetes_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of Services named aggregator and aggregator-api; a flag still sets the port."""
    for name, value in KUBERNETES.items():
        monkeypatch.setenv(name, value)
    assert sorted(service_variables(os.environ)) == sorted(KUBERNETES)
    assert load({}).port == 8080
    assert load({"port": "1234"}).port == 1234


@pytest.mark.parametrize(
    ("name", "value"),
    [("PROT", "tcp://10.0.0.1:8080"), ("PORT", "abc"), ("PORT", "tcp://"), ("SERVICE", "x"), ("HOST_PORT", "8080")],
)
def test_a_mistake_beside_variables_of_kubernetes(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """Only the mistake is reported."""
    for one, other in (KUBERNETES | {f"AGGREGATOR_{name}": value}).items():
        monkeypatch.setenv(one, other)
    (line,) = mistakes()
    assert line.startswith(f"AGGREGATOR_{name}")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cache_url", "memcached://x"),
        ("cache_url", "redis://"),
        ("cache_url", "redis://localhost:abc/0"),
        ("cache_url", "redis://localhost:99999/0"),
        ("history_url", "sqlite://prices.db"),
        ("history_url", "sqlite:///"),
        ("history_url", "postgres://x"),
        ("history_url", "dynamodb://"),
        ("history_url", "dynamodb://prices?zone=x"),
        ("history_url", "dynamodb://prices?endpoint=nowhere"),
        ("exchanges", ""),
        ("exchanges", "exchange1"),
        ("exchanges", "mock"),
        ("exchanges", "binance,binance"),
        ("exchanges", "a=mock+http://127.0.0.1:1,a=mock+http://127.0.0.1:2"),
        ("exchanges", "a=nosuch+http://127.0.0.1:1"),
        ("exchanges", "A B=mock+http://127.0.0.1:1"),
        ("exchanges", "a=ccxt:kraken+http://127.0.0.1:1+ws"),
        ("exchanges", "a=binance+ws+ws"),
        ("exchanges", "a=binance+ws+wss://x.test:99999"),
        ("exchanges", "a=binance+ws+http://x.test"),
        ("exchanges", "a=mock+ws"),
        ("exchanges", "mock+http://127.0.0.1:1"),
        ("hot_interval", "0"),
        ("hot_interval", "inf"),
        ("hot_interval", "60"),
        ("hot_size", "-1"),
        ("min_sources", "0"),
        ("min_sources", "4"),
        ("max_weight", "0"),
        ("max_weight", "1.01"),
        ("max_weight", "NaN"),
        ("max_weight", "0.1234567"),
        ("exchanges", "a=mock+http://127.0.0.1:99999"),
        ("exchange_concurrency", "1"),
        ("max_in_flight", "0"),
        ("max_connections", "0"),
        ("max_streams", "0"),
        ("stream_replay", "999"),
        ("stream_seconds", "0"),
        ("refresh_cooldown", "-1"),
        ("refresh_cooldown", "nan"),
        ("refresh_rate", "0"),
        ("refresh_rate", "inf"),
        ("log_format", "xml"),
        ("cache_url", "redis://localhost/0?x=1"),
        ("cache_url", "redis://localhost/0?ssl_ca_certs=x"),
        ("cache_url", "redis://user@localhost/0?iam=cache&region=us-east-1"),
        ("cache_url", "rediss://localhost/0?db=x"),
        ("cache_url", "rediss://localhost/0?region=us-east-1"),
        ("allowed_hosts", "https://example.com"),
        ("allowed_hosts", "example.com:80"),
        ("cors_origins", "example.com"),
        ("cors_origins", "null"),
        ("trusted_proxies", "balancer"),
        ("trades_log", "rabbitmq://x"),
        ("trades_log", "kafka://broker/topic"),
        ("trades_log", "kafka://broker:9092/topic?format=avro"),
        ("kafka_sasl", "GSSAPI"),
        ("role", "processor"),
    ],
)
def test_invalid_values_are_refused(name: str, value: str) -> None:
    """Each gives one line."""
    assert len(mistakes(**{name: value})) == 1


def test_secrets_are_never_shown() -> None:
    """Neither in an error nor in the repr of the settings."""
    assert "hunter2" not in "".join(mistakes(cache_url="rediss//:hunter2@host"))
    settings = load({"api_keys": "hunter2, hunter3", "kafka_password": "hunter4"})
    assert [key.get_secret_value() for key in settings.api_keys] == ["hunter2", "hunter3"]
    assert "hunter" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cache_url", "redis://user:SECRET@localhost/0?x=1"),
        ("cache_url", "redis://user:a?SECRET@localhost"),
        ("cache_url", "rediss://user:SECRET@localhost/0?iam=x&region=y"),
        ("cache_url", "redis://localhost/0?db=SECRET"),
        ("cache_url", "redis://localhost/0?SECRET"),
        ("history_url", "postgres://user:SECRET@localhost/x"),
        ("history_url", "postgres://user:SECRET"),
        ("history_url", "dynamodb://prices?endpoint=http://user:SECRET@localhost:99999"),
        ("history_url", "dynamodb://prices?endpoint=http://user:x&SECRET=y@localhost"),
        ("exchanges", "a=mock+http://user:SECRET@localhost:0"),
        ("exchanges", "a=mock+http://user:x,SECRET,y@localhost:0"),
        ("exchanges", "a=mock+http://user:'SECRET@localhost:0"),
        ("exchanges", "a=mock+http://user:'\"SECRET@localhost:0"),
        ("exchanges", "a=nosuch+http://localhost/x?key=SECRET"),
        ("exchanges", "a=binance+ws+wss://user:SECRET@localhost:99999"),
        ("cors_origins", "https://user:SECRET@localhost"),
        ("news", "rss+ftp://user:SECRET@localhost/"),
        ("news", "rss+https://localhost/?key=SECRET,rss+https://localhost/?key=SECRET"),
        ("trades_log", "kafka://user:SECRET@broker:9092/topic"),
        ("trades_log", "kafka://broker:9092/topic?group=@&SECRET=x"),
    ],
)
def test_a_mistake_in_an_address_never_shows_a_password(name: str, value: str) -> None:
    """Wherever the mistake is in the address; in an address without secrets, the wrong part is shown."""
    (line,) = mistakes(**{name: value})
    assert "SECRET" not in line
    assert line.startswith(f"--{name.replace('_', '-')}: ")
    assert "'zone'" in mistakes(history_url="dynamodb://prices?zone=x")[0]


def test_hosts_origins_and_proxies_are_normalized() -> None:
    """Hosts, origins and networks have one form each; keys are secret."""
    settings = load(
        {
            "allowed_hosts": "Prices.Example.com., *.x.test, ::1",
            "cors_origins": "https://X.test:443,*",
            "read_keys": "hunter2",
            "trusted_proxies": "10.0.0.1",
        }
    )
    assert settings.allowed_hosts == ("prices.example.com", "*.x.test", "[::1]")
    assert settings.cors_origins == ("https://x.test", "*")
    assert settings.trusted_proxies == ("10.0.0.1/32",)
    assert "hunter" not in repr(settings)


def test_a_processor_needs_a_log_that_processes_share() -> None:
    """With Kafka and Redis it starts; without one of them, the line names what is missing."""
    kafka = {"trades_log": "kafka://broker:9092/topic", "role": "processor"}
    assert "trades_log" in mistakes(role="processor", cache_url="redis://localhost/0")[0]
    assert "cache_url" in mistakes(**kafka)[0]
    assert load(kafka | {"cache_url": "redis://localhost/0"}).reads_kafka
    assert "processors" in mistakes(**kafka, cache_url="redis://localhost/0", workers="2")[0]


def test_without_the_extra_kafka_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line says how to install it."""
    monkeypatch.setattr("aggregator.libraries.extras.importlib.util.find_spec", lambda _: None)
    assert ".[kafka]" in mistakes(trades_log="kafka://broker:9092/topic")[0]


def test_processors_need_a_log_that_processes_share() -> None:
    """A Kinesis stream is one; memory is not."""
    shared = "kinesis://trades?region=us-east-1"
    assert load({"role": "processor", "cache_url": "redis://localhost", "trades_log": shared}).reads_kinesis
    assert "kinesis://" in mistakes(role="processor", cache_url="redis://localhost")[0]
    assert "region of kinesis://" in mistakes(trades_log="kinesis://trades")[0]
