"""The machines' start and stop scripts and units (terraform/files), with fake AWS and Docker programs."""

import os
import re
import shutil
import stat
import subprocess
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from signal import SIGTERM

import pytest

from tests.parts.process import Process, wait_for
from tests.parts.terraform import FOLDER

pytestmark = pytest.mark.real

FILES = FOLDER / "files"
SCRIPTS = sorted(FILES.glob("*.sh"))
IMAGE = f"registry.example/prices/aggregator@sha256:{'a' * 64}"


class Machine:
    """A folder with the scripts as on a machine, and programs that only record their calls."""

    def __init__(self, folder: Path) -> None:
        self.run_folder, self.data = folder / "run", folder / "data"
        self._scripts, self._programs = folder / "lib", folder / "bin"
        self._calls = folder / "calls"
        for made in (self._scripts, self._programs, self.data, self.run_folder):
            made.mkdir()
        for script in SCRIPTS:
            copy = self._scripts / script.stem
            shutil.copy(script, copy)
            copy.chmod(0o755)
        self._calls.touch()
        for program in ("aggregator", "aws", "docker", "systemctl"):
            self.program(program, "")

    def program(self, name: str, body: str) -> None:
        """Make a program run `body` when it is called."""
        file = self._programs / name
        file.write_text(f'#!/bin/bash\necho "{name} $*" >>"{self._calls}"\n{body}\n', encoding="utf-8")
        file.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        """The recorded calls, in order."""
        return self._calls.read_text(encoding="utf-8").splitlines()

    def environment(self, facts: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of a script."""
        path = f"{self._programs}:{os.environ['PATH']}"
        told = {"PATH": path, "RUN_FOLDER": str(self.run_folder), "DATA_FOLDER": str(self.data), "REGION": "eu-west-1"}
        return told | {"IMAGE": IMAGE, "OPTIONS": "--volume /data:/data"} | dict(facts)

    def command(self, script: str, *arguments: str) -> list[str]:
        """Return the command line of a script."""
        return [str(self._scripts / script), *arguments]

    def run(self, script: str, *arguments: str, **facts: str) -> subprocess.CompletedProcess[str]:
        """Run a script to its end."""
        return subprocess.run(
            self.command(script, *arguments),
            env=self.environment(facts),
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def settings(self, held: str) -> subprocess.CompletedProcess[str]:
        """Run `settings` with an SSM response in text form."""
        self.program("aws", f"printf '%b' '{held}'")
        return self.run("settings", "aggregator", SETTINGS_PATH="/prices/api", PREFIX="AGGREGATOR_")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Return a machine."""
    return Machine(tmp_path)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: str(script.name))
def test_scripts_are_sound(script: Path) -> None:
    """Bash and shellcheck (if installed) accept the scripts; each script stops at its first error."""
    subprocess.run([str(shutil.which("bash")), "-n", script], check=True)
    assert "\nset -euo pipefail\n" in script.read_text(encoding="utf-8")
    if shutil.which("shellcheck"):
        subprocess.run([str(shutil.which("shellcheck")), script], check=True)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here; see the header")
def test_units_are_sound(tmp_path: Path) -> None:
    """systemd-analyze accepts every line of the units; the programs do not exist here."""
    for unit in [*FILES.glob("*.service"), *FILES.glob("*.timer")]:
        shutil.copy(unit, tmp_path / unit.name.replace("@.", "@aggregator."))
    (tmp_path / "docker.service").write_text("[Service]\nExecStart=/bin/true\n", encoding="utf-8")
    found = subprocess.run(
        [str(shutil.which("systemd-analyze")), "verify", "--man=no", *map(str, tmp_path.iterdir())],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    said = [line for line in (found.stdout + found.stderr).splitlines() if str(tmp_path) in line or ".service" in line]
    assert [line for line in said if "is not executable" not in line] == []


def test_settings_become_an_environment_that_only_root_reads(machine: Machine) -> None:
    """Settings become an environment file that only root can read; values keep spaces and equals signs."""
    made = machine.settings(
        r"/prices/api/ROLE\tapi\n/prices/api/CACHE_URL\trediss://u@h:6379/0?iam=c&region=r\n/prices/api/X\ta b=c\n"
    )
    assert made.returncode == 0, made.stderr
    file = machine.run_folder / "aggregator.env"
    assert file.read_text(encoding="utf-8").splitlines() == [
        "AGGREGATOR_ROLE=api",
        "AGGREGATOR_CACHE_URL=rediss://u@h:6379/0?iam=c&region=r",
        "AGGREGATOR_X=a b=c",
    ]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    (call,) = machine.calls
    assert "get-parameters-by-path --region eu-west-1 --path /prices/api --with-decryption" in call


@pytest.mark.parametrize("held", ["", r"/prices/api/ROLE\tapi\nhunter2\n", r"/prices/api/lower\tx\n"])
def test_settings_that_make_no_sense_stop_the_start(machine: Machine, held: str) -> None:
    """Missing settings, a line break or an invalid name stop the start; the old file stays, no value is logged."""
    old = machine.run_folder / "aggregator.env"
    old.write_text("AGGREGATOR_ROLE=api\n", encoding="utf-8")
    made = machine.settings(held)
    assert made.returncode == 1
    assert made.stderr.startswith("settings: ")
    assert "hunter2" not in made.stdout + made.stderr
    assert old.read_text(encoding="utf-8") == "AGGREGATOR_ROLE=api\n"


@pytest.mark.parametrize(("before", "code"), [("AGGREGATOR_ROLE=api\n", 0), (None, 255)])
def test_a_container_starts_again_while_ssm_cannot_be_reached(machine: Machine, before: str | None, code: int) -> None:
    """A start keeps the settings of the last one while no endpoint of SSM answers; the first start needs SSM."""
    file = machine.run_folder / "aggregator.env"
    if before:
        file.write_text(before, encoding="utf-8")
    machine.program("aws", 'echo "Connect timeout on endpoint URL: https://ssm.eu-west-1.amazonaws.com/" >&2; exit 255')
    made = machine.run("settings", "aggregator", SETTINGS_PATH="/prices/api", PREFIX="AGGREGATOR_")
    assert made.returncode == code
    assert "Connect timeout" in made.stderr
    if before:
        assert "settings: SSM cannot be reached; the settings of the last start stay" in made.stderr
        assert [one.name for one in machine.run_folder.iterdir()] == [file.name]
        assert file.read_text(encoding="utf-8") == before


def test_settings_without_rights_stop_the_start(machine: Machine) -> None:
    """Without the right to read settings, the start stops with AWS' message, also after a start that had it."""
    (machine.run_folder / "aggregator.env").write_text("AGGREGATOR_ROLE=api\n", encoding="utf-8")
    machine.program("aws", "echo AccessDeniedException >&2; exit 254")
    made = machine.run("settings", "aggregator", SETTINGS_PATH="/prices/api", PREFIX="AGGREGATOR_")
    assert made.returncode == 254
    assert "AccessDeniedException" in made.stderr


def test_a_container_without_settings_gets_an_empty_environment(machine: Machine) -> None:
    """A mock exchange has no settings: its environment file is empty, and SSM is not called."""
    assert machine.run("settings", "exchange").returncode == 0
    assert (machine.run_folder / "exchange.env").read_text(encoding="utf-8") == ""
    assert machine.calls == []


def test_an_image_is_pulled_once_and_the_sign_in_forgotten(machine: Machine) -> None:
    """An image is pulled once by digest; the registry token goes through stdin, and its folder is deleted at once."""
    machine.program("aws", "echo token")
    machine.program(
        "docker",
        '[ "$1 $2" = "image inspect" ] && exit 1; [ "$1" = login ] && cat >"$DOCKER_CONFIG/config.json"; exit 0',
    )
    made = machine.run("image")
    assert made.returncode == 0, made.stderr
    assert f"docker pull --quiet {IMAGE}" in machine.calls
    assert "docker login --username AWS --password-stdin registry.example" in machine.calls
    assert list(machine.run_folder.iterdir()) == []
    machine.program("docker", "")
    before = len(machine.calls)
    assert machine.run("image").returncode == 0
    assert machine.calls[before:] == [f"docker image inspect {IMAGE}"]


@pytest.mark.parametrize(("state", "restarts"), [("unhealthy", 1), ("healthy", 0), ("starting", 0), ("", 0)])
def test_a_container_that_hangs_is_restarted(machine: Machine, state: str, restarts: int) -> None:
    """Only an unhealthy container is restarted, not one that is starting or has no health check."""
    machine.program("docker", f"echo {state}")
    assert machine.run("health", "aggregator").returncode == 0
    assert machine.calls.count("systemctl restart container@aggregator.service") == restarts


class Metadata(BaseHTTPRequestHandler):
    """An instance metadata service, version 2: it answers nothing without a token."""

    state = "InService"

    def do_PUT(self) -> None:
        """Return a token."""
        self._answer(200, "token")

    def do_GET(self) -> None:
        """Return the requested value."""
        known = {"autoscaling/target-lifecycle-state": type(self).state, "instance-id": "i-0123"}
        if self.headers.get("X-aws-ec2-metadata-token") != "token":
            self._answer(401, "")
        else:
            self._answer(200, known[self.path.removeprefix("/latest/meta-data/")])

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def _answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())


@pytest.fixture
def metadata() -> Iterator[str]:
    """Run a metadata service; return its address."""
    Metadata.state = "InService"
    server = ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("emptied", [True, False])
def test_a_machine_that_is_to_go_drains_first(machine: Machine, metadata: str, *, emptied: bool) -> None:
    """A terminating machine stops the service, drains the outbox, and copies only what is left to the bucket."""
    machine.program("docker", "" if emptied else "exit 1")
    (machine.data / "outbox.db").touch()
    told = machine.environment(
        {"METADATA_URL": metadata, "LOOK_SECONDS": "0.05", "RESCUE_BUCKET": "rescue", "DRAIN_SECONDS": "7"}
    )
    drain = Process(machine.command("drain"), environment=told)
    assert drain.child.poll() is None
    assert machine.calls == [], "nobody wants this machine gone"
    Metadata.state = "Terminated"
    assert drain.ended() == 0, drain.output
    stopped, drained, *more = machine.calls
    assert stopped == "systemctl stop container-health@aggregator.timer container@aggregator.service"
    assert drained.startswith("docker run --rm --network host --env-file")
    assert drained.endswith(f"--volume /data:/data {IMAGE} drain --patience 7")
    if emptied:
        assert more == []
    else:
        (copied,) = more
        files = " ".join(rf"--include {name}.db\*" for name in ("outbox", "trades-outbox", "outlets", "dead-letters"))
        assert re.search(rf"^aws s3 cp --recursive .* {files} {machine.data} s3://rescue/i-0123-\d{{8}}T", copied)


@pytest.mark.parametrize("drained", [True, False])
def test_a_task_drains_between_its_signal_and_its_end(machine: Machine, *, drained: bool) -> None:
    """A task on Fargate passes SIGTERM to the service, waits for it, then drains; its code says what has failed."""
    machine.program(
        "aggregator",
        f'[ "$1" = drain ] && exit {int(not drained)}\n'
        f'trap "echo stopped >>{machine.data}/log; exit 0" TERM\ntouch {machine.data}/serving\n'
        "for _ in $(seq 600); do sleep 0.1; done",
    )
    task = Process(
        ["sh", "-c", (FOLDER / "modules/processors/serve.sh").read_text()], environment=machine.environment({})
    )
    wait_for((machine.data / "serving").exists, what="the service")
    task.signal(SIGTERM)
    assert task.ended() == int(not drained), task.output
    assert machine.calls == ["aggregator serve", "aggregator drain --patience 60"]
    assert (machine.data / "log").read_text() == "stopped\n"
