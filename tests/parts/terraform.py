"""Terraform for tests: plans by the real AWS provider, with moto in the place of AWS."""

import base64
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.parts.ports import free_port
from tests.parts.process import ROOT, Process, wait_for

FOLDER = ROOT / "terraform"
ACCOUNT = "210987654321"  # not moto's default account, for which the configuration leaves out what moto lacks
MOTO_S_OWN = "123456789012"
DIGESTS = {
    name: f"sha256:{digit * 64}" for name, digit in {"aggregator": "a", "prometheus": "b", "grafana": "c"}.items()
}
_MIRRORS = (Path("/opt/tf-plugins"), Path.home() / ".terraform.d/plugins", Path("/usr/share/terraform/plugins"))
_CACHE = "TF_PLUGIN_CACHE_DIR"  # when set, Terraform may download the provider
_SECONDS = 1200


def missing() -> str:
    """Return what is missing to run Terraform, or an empty string."""
    if shutil.which("terraform") is None:
        return "terraform is not installed"
    if plugins() is None and _CACHE not in os.environ:
        return f"no AWS provider: neither a mirror of plugins nor {_CACHE}"
    return ""


def checkov() -> str | None:
    """Return the path of checkov: from the environment that `./test.sh terraform` creates, or from the PATH."""
    own = ROOT / ".venv-checkov/bin/checkov"
    return str(own) if own.exists() else shutil.which("checkov")


def plugins() -> Path | None:
    """Return the local plugin mirror that has the AWS provider, for machines without internet access."""
    return next((one for one in _MIRRORS if list(one.glob("*/hashicorp/aws"))), None)


class Plan:
    """The planned resources: `terraform show -json` of a plan for an empty account."""

    def __init__(self, shown: Mapping[str, Any], said: str) -> None:
        self.shown = shown
        self.said = said
        self.outputs = shown["planned_values"].get("outputs", {})
        self.resources: list[dict[str, Any]] = _of_module(shown["planned_values"]["root_module"])
        self.unknown = {one["address"]: one["change"]["after_unknown"] for one in shown["resource_changes"]}
        self._kinds = {one["address"]: one["type"] for one in shown["resource_changes"]}
        self.changes = {
            one["address"]: one
            for one in shown["resource_changes"]
            if one["change"]["actions"] not in (["no-op"], ["read"])
        }
        self._root = shown["configuration"]["root_module"]

    def of(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return the values of all resources of a type, by short address: main["api"], module.lake[0].main."""
        return {
            short_address(one["address"], kind): one.get("values", {}) for one in self.resources if one["type"] == kind
        }

    def unknown_of(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return the attributes that are known only after apply, of all resources of a type, by address as in `of`."""
        return {
            short_address(address, kind): unknown
            for address, unknown in self.unknown.items()
            if self._kinds[address] == kind
        }

    def one(self, kind: str) -> dict[str, Any]:
        """Return the values of the only resource of a type."""
        (values,) = self.of(kind).values()
        return values

    def named(self, module: str, resource: str, argument: str) -> set[str]:
        """Return what an argument refers to, as written, because values are known only after apply.

        An argument that is an input of the module stands for the resources behind the outputs that the input names.
        """
        inside = self._root["module_calls"][module]["module"]["resources"]
        (written,) = [one["expressions"][argument] for one in inside if one["address"] == resource]
        names: set[str] = set()
        for name in written["references"]:
            names |= self._behind(module, name) if name.startswith("var.") else {name}
        return names

    def _behind(self, module: str, name: str) -> set[str]:
        given = self._root["module_calls"][module]["expressions"].get(name.split(".")[1].partition("[")[0], {})
        found: set[str] = set()
        for reference in given.get("references", ()):
            kind, _, rest = reference.partition(".")
            other, _, output = rest.partition(".")
            if kind == "module" and output in self._root["module_calls"][other]["module"].get("outputs", {}):
                expression = self._root["module_calls"][other]["module"]["outputs"][output]["expression"]
                found |= {
                    one if name.count("[") == 0 else f"{one}{name[name.index('[') :]}"
                    for one in expression["references"]
                }
        return found

    def cloud_init(self) -> dict[str, str]:
        """Return the decoded user data of each kind of machine."""
        told = {name: values["user_data"] for name, values in self.of("aws_launch_template").items()}
        told |= {name: values["user_data_base64"] for name, values in self.of("aws_instance").items()}
        return {name: gzip.decompress(base64.b64decode(text)).decode() for name, text in told.items()}


def short_address(address: str, kind: str) -> str:
    """Return an address without the type, and without the modules that each deployment has."""
    return re.sub(r"^module\.(network|identity|data|compute|monitoring)\.", "", address).replace(f"{kind}.", "", 1)


def _of_module(module: Mapping[str, Any]) -> list[dict[str, Any]]:
    inside = [_of_module(child) for child in module.get("child_modules", ())]
    return [*module.get("resources", ()), *(one for child in inside for one in child)]


def statements(policy: str) -> list[dict[str, Any]]:
    """Return a policy's statements, with actions and resources as lists."""
    found = json.loads(policy)["Statement"]
    found = found if isinstance(found, list) else [found]
    return [
        one | {name: one[name] if isinstance(one[name], list) else [one[name]] for name in ("Action", "Resource")}
        for one in found
    ]


def roles(plan: Plan) -> dict[str, list[dict[str, Any]]]:
    """Return the policy statements of every role."""
    return {name: statements(one["policy"]) for name, one in plan.of("aws_iam_role_policy").items()}


def of_machine(plan: Plan, kind: str, sid: str) -> dict[str, Any]:
    """Return one statement of the role of a kind of machine, by its Sid."""
    return next(one for one in roles(plan)[f'machine["{kind}"]'] if one["Sid"] == sid)


def templates(plan: Plan) -> list[dict[str, Any]]:
    """Return the launch templates; there are exactly three."""
    found = plan.of("aws_launch_template")
    assert set(found) == {'main["api"]', 'main["refresher"]', 'main["processor"]'}
    return list(found.values())


class Terraform:
    """An initialised copy of the terraform/ folder that talks to moto."""

    def __init__(self, folder: Path, aws: str) -> None:
        self.folder = folder / "terraform"
        ignore = shutil.ignore_patterns(".terraform*", "*.tfstate*", "*.tfvars", "backend.tf")
        shutil.copytree(FOLDER, self.folder, ignore=ignore)
        (folder / "terraformrc").touch()
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "AWS_"))}
        if cache := os.environ.get(_CACHE):
            Path(cache).mkdir(parents=True, exist_ok=True)  # Terraform does not create this folder itself
            self._environment[_CACHE] = cache
        self._environment |= {
            "TF_CLI_CONFIG_FILE": str(folder / "terraformrc"),
            "TF_IN_AUTOMATION": "1",
            "TF_INPUT": "0",
            "AWS_ENDPOINT_URL": aws,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_S3_USE_PATH_STYLE": "true",
            "GOGC": "400",  # the provider's schemas are no garbage: rarer collections save a fifth of the CPU
        }
        mirror = plugins()
        where = [f"-plugin-dir={mirror}"] if mirror else []
        made = self.run("init", "-backend=false", *where)
        assert made.returncode == 0, made.stdout

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a Terraform command; `stdout` has both output streams."""
        return subprocess.run(
            [
                str(shutil.which("terraform")),
                f"-chdir={self.folder}",
                *arguments,
                *(["-no-color"] if arguments[0] != "show" else []),
            ],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=_SECONDS,
        )

    def plan(self, variables: Mapping[str, object]) -> Plan:
        """Plan with these variables, and keep them for later commands."""
        (self.folder / "terraform.tfvars.json").write_text(json.dumps(variables), encoding="utf-8")
        made = self.run("plan", "-lock=false", "-out=plan")
        assert made.returncode == 0, made.stdout
        shown = self.run("show", "-json", "plan")
        return Plan(json.loads(shown.stdout), made.stdout)

    def apply(self) -> None:
        """Apply the last plan."""
        made = self.run("apply", "plan")
        assert made.returncode == 0, made.stdout

    def destroy(self) -> list[str]:
        """Destroy all resources; return the addresses left in the state."""
        gone = self.run("destroy", "-auto-approve")
        assert gone.returncode == 0, gone.stdout
        return self.run("state", "list").stdout.split()


@contextmanager
def moto(account: str = ACCOUNT) -> Iterator[str]:
    """Run moto's server for this account; yields its address."""
    port = free_port()
    environment = os.environ | {"MOTO_ACCOUNT_ID": account}
    command = [sys.executable, "-m", "tests.parts.scaling_moto", "-H", "127.0.0.1", "-p", str(port)]
    server = Process(command, environment=environment)

    def answers() -> bool:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/moto-api/data.json", timeout=1).close()
        except OSError:
            return False
        return True

    wait_for(answers, what="moto")
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop()
