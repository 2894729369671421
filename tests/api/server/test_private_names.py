"""Names of libraries that no documentation promises: each is still there, and the lists below are complete.

`aggregator/api/server/` uses internals of uvicorn, `aggregator/observability/` those of prometheus-client, and
pyproject.toml allows one minor series of each. After an upgrade, the failures of this file say what to read again.
"""

import ast
import asyncio
import importlib
import inspect
import textwrap
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path

import pytest
import uvicorn

from tests.parts.process import ROOT

PACKAGE = ROOT / "aggregator"
SERVER = PACKAGE / "api" / "server"

HTTP = "uvicorn.protocols.http.httptools_impl"
PROTOCOL = f"{HTTP}:HttpToolsProtocol"
CYCLE = f"{HTTP}:RequestResponseCycle"
FLOW = "uvicorn.protocols.http.flow_control:FlowControl"
WEBSOCKET = "uvicorn.protocols.websockets.websockets_sansio_impl:WebSocketsSansIOProtocol"
STATE = "uvicorn.server:ServerState"
SERVING = "uvicorn.server:Server"
HISTOGRAM = "prometheus_client:Histogram"

# Where the name is -> the name -> which of our modules uses it, and what for.
USED = {
    HTTP: {
        "HttpToolsProtocol": "protocol.py extends it with limits",
        "RequestResponseCycle": "direct_write.py completes the response of one",
        "STATUS_LINE": "direct_write.py and protocol.py write the first line of a response from it",
    },
    PROTOCOL: {
        "_start_asgi_task": "taskless.py overrides it for the handler, protocol.py to know the running request",
        "_unset_keepalive_if_required": "protocol.py stops the keep-alive timer of a refused client with it",
        "connections": "protocol.py counts the open connections",
        "cycle": "protocol.py sees from it whether data has begun a new request, and whether one is being answered",
        "flow": "protocol.py resumes a stream that waits for its client, to end it",
        "handle_websocket_upgrade": "protocol.py overrides it to refuse heads that websockets does not accept",
        "headers": "protocol.py replaces the list once the head has ended, so that trailers are no headers",
        "loop": "protocol.py sets the timers of a stop on it",
        "on_body": "protocol.py overrides it to tell a body from its trailers",
        "parser": "protocol.py replaces it after a refusal, so that further data is discarded",
        "pipeline": "protocol.py limits the number of waiting requests and drops them when the connection is lost",
        "scope": "protocol.py tells the request being read from the one being answered",
        "send_400_response": "protocol.py overrides it to refuse in our form",
        "server_state": "protocol.py has its limits and metrics there",
        "shutdown": "protocol.py overrides it to let idle clients send one more request",
        "timeout_keep_alive_task": "protocol.py sees from it that the client may be idle",
        "transport": "protocol.py writes refusals to it and closes it",
        "url": "protocol.py limits its length before an upgrade to WebSocket",
    },
    CYCLE: {
        "body": "taskless.py gives it to the handler",
        "chunked_encoding": "http_1_0.py clears it; protocol.py sees from it how to end a stream",
        "default_headers": "direct_write.py writes them into every response",
        "disconnected": "direct_write.py, taskless.py: a client that has left gets nothing; protocol.py sets it",
        "expected_content_length": "http_1_0.py sets it to the length of each part",
        "flow": "direct_write.py leaves clients that do not read to uvicorn",
        "keep_alive": "direct_write.py, taskless.py leave the last response to uvicorn; others make it so",
        "message_event": "direct_write.py and protocol.py wake the application's receive() with it",
        "more_body": "protocol.py and taskless.py see from it that a body has not ended",
        "on_response": "direct_write.py calls it for uvicorn to go on with the next request; taskless.py removes it",
        "response_complete": "direct_write.py sets it; protocol.py sees from it whether a response is being sent",
        "response_started": "direct_write.py sets it, and writes nothing into a response that has begun",
        "scope": "direct_write.py puts the direct write into its state; taskless.py finds the path there",
        "transport": "direct_write.py writes to it",
        "waiting_for_100_continue": "direct_write.py clears it, as the response replaces 100 Continue",
    },
    FLOW: {
        "resume_writing": "protocol.py wakes a stream that waits for its client, to end it",
        "write_paused": "direct_write.py leaves clients that do not read to uvicorn",
    },
    "uvicorn._types": {"ASGISendEvent": "websocket_protocol.py annotates send() with it"},
    "uvicorn.protocols.websockets.websockets_sansio_impl": {
        "WebSocketsSansIOProtocol": "websocket_protocol.py extends it with limits"
    },
    WEBSOCKET: {
        "close_sent": "websocket_protocol.py sees from it, and sets it, that the connection is ending",
        "conn": "websocket_protocol.py sends close frames with it",
        "curr_msg_data_type": "websocket_protocol.py tells texts, which must be UTF-8, from other messages",
        "disconnected": "websocket_protocol.py sets it, so that the application's send() ends",
        "frames": "websocket_protocol.py limits the number of frames of one message, and looks whether they are UTF-8",
        "handshake_complete": "websocket_protocol.py limits the time of a handshake, and ends one after a refusal",
        "initial_response": "websocket_protocol.py sees from it that the application has refused",
        "keepalive_timeout": "websocket_protocol.py overrides it to count silent clients",
        "logger": "websocket_protocol.py gives it to the protocol of the connection",
        "loop": "websocket_protocol.py takes the time from it and sets the timer of a stop",
        "queue": "websocket_protocol.py limits the waiting messages, and disconnects the application",
        "scope": "websocket_protocol.py finds the stream's end there",
        "send_receive_event_to_app": "websocket_protocol.py overrides it to refuse texts that are no UTF-8",
        "send": "websocket_protocol.py overrides it to complete a handshake that was refused",
        "shutdown": "websocket_protocol.py overrides it to abort clients that do not read the close frame",
        "stop_keepalive": "websocket_protocol.py stops the pings of an ending connection",
        "transport": "websocket_protocol.py writes close frames to it and closes it",
        "writable": "websocket_protocol.py wakes the application's send() with it",
    },
    "uvicorn.server": {"ServerState": "slow_readers.py extends it with limits and metrics"},
    STATE: {
        "connections": "server.py sweeps them",
        "default_headers": "server.py adds `connection: close` at a stop; protocol.py writes them into refusals",
    },
    SERVING: {
        "capture_signals": "server.py overrides it so that uvicorn leaves signals to the command line",
        "config": "server.py makes protocols for connections from the port's queue with it",
        "lifespan": "server.py passes its state to these protocols",
        "on_tick": "server.py overrides it to sweep the connections once a second",
        "server_state": "server.py replaces it with ours",
        "servers": "server.py closes them when it stops to accept connections",
        "shutdown": "server.py overrides it to answer the clients that are connected at a stop",
    },
    HISTOGRAM: {
        "_labelnames": "tests/observability/test_metrics.py makes a series of each metric with it",
        "_buckets": "durations.py adds many observations to each of its buckets at once",
        "_sum": "durations.py adds their sum to it",
        "_upper_bounds": "durations.py finds the bucket of an observation by it",
    },
}
CASES = [(where, name) for where, names in USED.items() for name in names]

# Names that uvicorn documents, or that asyncio promises of every protocol.
DOCUMENTED = {*dir(asyncio.Protocol), "Config", "Server", "run", "serve"}
# Names of ours that uvicorn has too, for something else.
OURS = {"request"}  # a field of Limits
# Private names of other libraries that the rest of the package uses.
ELSEWHERE = {
    "_ActionsContainer",  # of argparse, the type of parsers and of groups of options
    "_ALL_BROKERS_DOWN",  # of confluent_kafka, as the next one and _SSL: documented codes of librdkafka
    "_AUTHENTICATION",
    "_SSL",
    "_SubParsersAction",  # of argparse, where the parsers of the commands are
    "_exit",  # of os, which documents it
    "_factory",  # of aiohttp's connector; exchanges/ has tests for it, and aiohttp is capped as well
    "_option_string_actions",  # of argparse, for the flag that was probably meant
    "_payload_parser",  # of aiohttp, where exchanges/connection.py extends its protocol
    "_replace",  # of named tuples, documented
    "_response",  # of aiohttp's WebSocket
}


def trees(*folders: Path) -> Iterator[tuple[str, ast.Module]]:
    """Yield our modules in these folders: their paths inside the package, and their syntax trees."""
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            yield path.relative_to(PACKAGE).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


@cache
def defined_in(tree: ast.AST) -> set[str]:
    """Return the names of the code's functions, classes, module-level variables and attributes; no local variables."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.Module | ast.ClassDef):
            assigned = [part for part in node.body if isinstance(part, ast.Assign | ast.AnnAssign)]
            stored = [name for part in assigned for name in ast.walk(part) if isinstance(name, ast.Name)]
            names |= {name.id for name in stored if isinstance(name.ctx, ast.Store)}
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names |= {node.attr} if isinstance(node.value, ast.Name) and node.value.id == "self" else set()
    return names


@cache
def attributes_of(where: str) -> set[str]:
    """Return the names of a module, or of a class: those that its methods assign to `self` included."""
    module, _, name = where.partition(":")
    found = importlib.import_module(module)
    if not name:
        return set(vars(found))
    owner: type = getattr(found, name)
    library = module.partition(".")[0]
    sources = [inspect.getsource(base) for base in owner.__mro__ if base.__module__.startswith(library)]
    return set(dir(owner)).union(*(defined_in(ast.parse(textwrap.dedent(source))) for source in sources))


def exists(where: str, name: str) -> bool:
    """Whether the library still has the name."""
    try:
        return name in attributes_of(where)
    except (ImportError, AttributeError):  # the module, or the class, is gone as well
        return False


@pytest.mark.parametrize(("where", "name"), CASES, ids=[f"{where}.{name}" for where, name in CASES])
def test_the_library_still_has_the_name(where: str, name: str) -> None:
    """After an upgrade that removes or renames it, this says what to do."""
    assert exists(where, name), complaint(where, name)


def complaint(where: str, name: str) -> str:
    """Return what to say if the name is gone."""
    library = where.partition(".")[0].partition(":")[0].replace("_", "-")
    return (
        f"{library} {version(library)} has no {where}.{name} any more: {USED[where][name]}. Read in the library's new"
        f" source what replaces it and change that module; until then, keep the older {library} in pyproject.toml and"
        " requirements.txt."
    )


def test_a_name_that_is_gone_is_noticed() -> None:
    """A name, a class, or a module; the complaint names the library, the name, our module and what to do."""
    assert not exists(PROTOCOL, "gone")
    assert not exists(f"{HTTP}:Gone", "cycle")
    assert not exists("uvicorn.gone", "STATUS_LINE")
    assert complaint(HISTOGRAM, "_sum").startswith(f"prometheus-client {version('prometheus-client')} has no ")
    assert "durations.py adds" in complaint(HISTOGRAM, "_sum")


def test_every_name_of_uvicorn_in_the_server_is_listed() -> None:
    """An unlisted one is a use that the list lacks, or a name of ours that an upgrade has given to uvicorn as well."""
    listed = {name for names in USED.values() for name in names} | DOCUMENTED | OURS
    internal = set().union(*(attributes_of(where) for where in (PROTOCOL, CYCLE, WEBSOCKET, STATE, SERVING)))
    for path, tree in trees(SERVER):
        used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} | defined_in(tree)
        unlisted = (used & internal) - listed - set(dir(object))
        assert not unlisted, f"{path} uses names that uvicorn {uvicorn.__version__} has too: list {sorted(unlisted)}"


def test_no_other_package_uses_private_names_of_libraries() -> None:
    """Only api/server and observability do, and what ELSEWHERE lists. A name that our code assigns counts as ours."""
    modules = {path: tree for path, tree in trees(PACKAGE) if not path.endswith("_pb2.py")}  # generated
    ours = set().union(*(defined_in(tree) for tree in modules.values()))
    listed = {name for names in USED.values() for name in names}
    found = {}
    for path, tree in modules.items():
        allowed = listed if path.startswith(("api/server/", "observability/")) else ELSEWHERE
        if foreign := set(private_names_in(tree, ours)) - allowed:
            found[path] = sorted(foreign)
    assert not found, f"private names of libraries, in modules that should not use any: {found}"


def private_names_in(tree: ast.Module, ours: set[str]) -> Iterator[str]:
    """Yield private names that are not ours: of a module imported, of something imported from one, or of an object."""
    here = defined_in(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            is_self = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            if node.attr not in (ours if is_self else here):
                yield node.attr
        elif isinstance(node, ast.ImportFrom) and node.module:
            if any(map(is_private, node.module.split("."))):
                yield from (alias.name for alias in node.names)
            yield from (alias.name for alias in node.names if is_private(alias.name))


def is_private(name: str) -> bool:
    """Whether it starts with one underscore."""
    return name.startswith("_") and not name.startswith("__")


@pytest.mark.parametrize("library", ["uvicorn", "prometheus-client"])
def test_upgrades_are_capped(library: str) -> None:
    """Where names are private, only releases of the minor series in use may be installed."""
    major, minor, *_ = version(library).split(".")
    expected = f'"{library}>={major}.{minor},<{major}.{int(minor) + 1}"'
    assert expected in (ROOT / "pyproject.toml").read_text(encoding="utf-8"), f"pyproject.toml has to say {expected}"
