"""deploy/kubernetes agrees with the settings, the roles and the image, and pods have no more rights than they need."""

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are not worth a dependency here

from aggregator.cli.command import schema_of
from aggregator.settings import PREFIX
from aggregator.settings.loader import load
from tests.parts.process import ROOT

FOLDER = ROOT / "deploy/kubernetes"
KUBECTL = shutil.which("kubectl")
DOCKERFILE = (ROOT / "deploy/Dockerfile").read_text()


def documents(pattern: str) -> list[dict[str, Any]]:
    """Return the objects in the files that match."""
    return [one for file in sorted(FOLDER.glob(pattern)) for one in yaml.safe_load_all(file.read_text())]


OBJECTS = [one for one in documents("*/*.yaml") if "apiVersion" in one and "kustomize" not in one["apiVersion"]]
WORKLOADS = [one for one in OBJECTS if one["kind"] in ("Deployment", "StatefulSet")]
KUSTOMIZATIONS = documents("*/kustomization.yaml")
PODS = {one["metadata"]["name"]: one["spec"]["template"]["spec"] for one in WORKLOADS}


def literals() -> dict[str, str]:
    """Return the settings in the ConfigMaps."""
    maps = [made for one in KUSTOMIZATIONS for made in one.get("configMapGenerator", ())]
    pairs = [literal.partition("=") for made in maps for literal in made.get("literals", ())]
    return {name: value for name, _, value in pairs}


def roles() -> dict[str, str]:
    """Return the role of each workload, from its arguments."""
    return {name: pod["containers"][0]["args"][-1] for name, pod in PODS.items()}


def test_there_is_a_workload_for_each_role_that_scales() -> None:
    """API, refresher and processor each have pods; the roles are those of the setting."""
    assert roles() == {f"aggregator-{role}": role for role in ("api", "processor", "refresher")}
    assert set(roles().values()) <= set(schema_of("role")["enum"])
    for name, pod in PODS.items():
        assert pod["containers"][0]["args"] == ["serve", "--role", roles()[name]]


@pytest.mark.parametrize("name", PODS)
def test_the_settings_are_settings(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service accepts the variables of each pod, with examples for the secrets."""
    monkeypatch.setenv(f"{PREFIX}CACHE_URL", "redis://:secret@redis:6379/0")
    for variable, value in literals().items():
        monkeypatch.setenv(variable, value)
    for one in PODS[name]["containers"][0]["env"]:
        if one["name"] != f"{PREFIX}CACHE_URL":
            monkeypatch.setenv(one["name"], one.get("value", "example"))
    settings = load({"role": roles()[name]})
    assert settings.data_dir == Path("/data")
    assert settings.shares_cache


def test_trades_are_taken_in() -> None:
    """Refreshers subscribe to the venues' trades, whichever folder is applied."""
    values = {
        name: {one["name"]: one.get("value") for one in pod["containers"][0]["env"]} for name, pod in PODS.items()
    }
    taking = {name for name, env in values.items() if env.get(f"{PREFIX}TRADE_FEEDS") == "true"}
    assert taking == {"aggregator-refresher"}
    assert f"{PREFIX}TRADE_FEEDS" not in literals()
    assert f"{PREFIX}TRADES_URL" in literals()


def test_refreshers_reach_every_venue() -> None:
    """The network policy of refreshers allows the port of each venue's calls and feeds, as the firewall on AWS does."""
    sources = "".join(file.read_text() for file in (ROOT / "aggregator/exchanges").rglob("*.py"))
    used = {int(port or 443) for port in re.findall(r"(?:wss|https)://[a-z0-9.-]+\.[a-z]+(?::(\d+))?[/\"]", sources)}
    (policy,) = [one for one in OBJECTS if one["metadata"]["name"] == "aggregator-exchanges"]
    assert used <= {one["port"] for one in policy["spec"]["egress"][0]["ports"]}
    assert len(used) > 1
    firewall = (ROOT / "terraform/modules/network/firewall.tf").read_text()
    rules = re.findall(r'"\w+" "(?:exchanges|feeds)_outside" {.*?\n}', firewall, re.DOTALL)
    assert used <= {int(port) for rule in rules for port in re.findall(r"\b\d{3,5}\b", rule)}


def test_secrets_are_references() -> None:
    """No value of a secret is in the files: each is a key of a Secret that the operator makes."""
    names = {one["name"] for pod in PODS.values() for one in pod["containers"][0]["env"] if "valueFrom" in one}
    assert names == {
        PREFIX + name
        for name in ("CACHE_URL", "POSTGRES_PASSWORD", "API_KEYS", "READ_KEYS", "KAFKA_USERNAME", "KAFKA_PASSWORD")
    }
    assert not names & set(literals())
    assert not re.search(r"://[^/\s]*:[^/\s@]*@", "".join(literals().values()))
    assert [one for one in OBJECTS if one["kind"] == "Secret"] == []


@pytest.mark.parametrize("name", PODS)
def test_a_pod_is_the_images_user_and_has_no_rights(name: str) -> None:
    """Pods pass the restricted Pod Security Standard with the image's user and port, and write to two folders."""
    pod, (container,) = PODS[name], PODS[name]["containers"]
    (user, group) = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)[0]
    (port,) = re.findall(r"^EXPOSE (\d+)$", DOCKERFILE, re.MULTILINE)
    security = pod["securityContext"]
    assert (security["runAsUser"], security["runAsGroup"], security["fsGroup"]) == (int(user), int(group), int(group))
    assert security["runAsNonRoot"] is True
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["ports"] == [{"name": "http", "containerPort": int(port)}]
    assert {one["mountPath"] for one in container["volumeMounts"]} == {"/data", "/tmp"}  # noqa: S108  # of the pod
    assert pod["automountServiceAccountToken"] is False
    assert {"requests", "limits"} <= container["resources"].keys()


@pytest.mark.parametrize("name", PODS)
def test_probes_ask_the_routes_for_them(name: str) -> None:
    """Liveness asks /health, which never depends on a store; readiness asks /ready."""
    (container,) = PODS[name]["containers"]
    paths = {kind: container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")}
    assert paths == {"startup": "/health", "liveness": "/health", "readiness": "/ready"}
    assert PODS[name]["terminationGracePeriodSeconds"] >= 30


def test_selectors_find_pods() -> None:
    """Each Service, budget and policy that names a component selects pods that there are."""
    labels = [one["spec"]["template"]["metadata"]["labels"] for one in WORKLOADS]
    for one in OBJECTS:
        spec = one.get("spec", {})
        selector = spec.get("podSelector", spec.get("selector", {}))
        wanted = selector.get("matchLabels", {} if one["kind"] == "NetworkPolicy" else selector)
        assert any(wanted.items() <= found.items() for found in labels), one["metadata"]["name"]


def test_files_that_must_last_are_on_volumes() -> None:
    """Refreshers and processors, which have outboxes, keep /data in a claim that outlives the pod; API pods do not."""
    kinds = {one["metadata"]["name"]: one["kind"] for one in WORKLOADS}
    assert kinds == {
        "aggregator-api": "Deployment",
        "aggregator-refresher": "StatefulSet",
        "aggregator-processor": "StatefulSet",
    }
    for one in WORKLOADS:
        if one["kind"] == "StatefulSet":
            assert [claim["metadata"]["name"] for claim in one["spec"]["volumeClaimTemplates"]] == ["data"]
            assert one["spec"]["persistentVolumeClaimRetentionPolicy"]["whenScaled"] == "Retain"


@pytest.mark.skipif(KUBECTL is None, reason="no kubectl here: kustomize did not build the manifests")
@pytest.mark.parametrize(("folder", "pods"), [("prices", 2), ("trades", 3)])
def test_kustomize_builds_them(folder: str, pods: int, tmp_path: Path) -> None:
    """`kubectl kustomize` builds them, also with the component of symbols; their schemas are those of Kubernetes."""
    copy = tmp_path / "kubernetes"
    shutil.copytree(FOLDER, copy)
    kustomization = copy / folder / "kustomization.yaml"
    text, found = re.subn(r"^# (components: .*?) *#.*$", r"\1", kustomization.read_text(), flags=re.MULTILINE)
    assert found == 1
    for changed in (kustomization.read_text(), text):
        kustomization.write_text(changed)
        command = [str(KUBECTL), "kustomize", str(copy / folder)]
        built = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert built.returncode == 0, built.stderr
        assert built.stdout.count("AGGREGATOR_SYMBOLS_FILE") == (pods if changed is text else 0)
        if importlib.util.find_spec("kubernetes_validate"):  # 108 MB of schemas: no dependency of ours
            (tmp_path / "built.yaml").write_text(built.stdout)
            check = [sys.executable, "-m", "kubernetes_validate", "--strict", "--quiet", str(tmp_path / "built.yaml")]
            assert subprocess.run(check, check=False, timeout=120).returncode == 0
