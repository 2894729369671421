"""The CI workflows: pinned actions, minimal rights, and no logic outside our scripts."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are not worth a dependency here

from tests.parts.process import ROOT

FOLDER = ROOT / ".github/workflows"
WORKFLOWS: dict[str, dict[Any, Any]] = {
    file.stem: yaml.safe_load(file.read_text()) for file in sorted(FOLDER.glob("*.yml"))
}
JOBS = {(name, key): job for name, workflow in WORKFLOWS.items() for key, job in workflow["jobs"].items()}
STEPS = [(where, step) for where, job in JOBS.items() for step in job["steps"]]
SCRIPTS = sorted((ROOT / "scripts").glob("*.sh"))

# Rights of each job beyond reading the code: a new right needs a change here.
RIGHTS = {
    ("release", "image"): {"packages": "write", "id-token": "write", "attestations": "write"},
    ("release", "package"): {
        "contents": "write",
        "packages": "read",
        "id-token": "write",
        "attestations": "write",
    },
    ("deploy", "plan"): {"packages": "read", "id-token": "write"},
    ("deploy", "apply"): {"packages": "read", "id-token": "write"},
    ("destroy", "destroy"): {"id-token": "write"},
    ("stages", "up"): {"packages": "read", "id-token": "write"},
    ("stages", "down"): {"id-token": "write"},
}
OURS = (r"\./test\.sh [a-z]+( \"\$URL\")?", r"\.ci/run( unit tests/deploy)?", r"scripts/(release|deploy)\.sh [a-z-]+")
TERRAFORM = r"terraform (fmt -check|-chdir=terraform (init -backend=false|validate)).*"
DIGEST = "sha256:" + "a" * 64


def text(name: str) -> str:
    """Return a workflow file's text."""
    return (FOLDER / f"{name}.yml").read_text()


def triggers(name: str) -> set[str]:
    """Return a workflow's triggers; YAML parses the key `on` as true."""
    return set(WORKFLOWS[name][True])


def test_there_is_one_for_each_purpose() -> None:
    """There is one workflow each for checks, release, deployment, removal, and stages."""
    assert set(WORKFLOWS) == {"ci", "release", "deploy", "destroy", "stages"}
    assert triggers("ci") == {"push", "pull_request"}
    assert triggers("release") == {"push"}
    assert triggers("deploy") == triggers("destroy") == triggers("stages") == {"workflow_dispatch"}


@pytest.mark.parametrize("name", WORKFLOWS)
def test_actions_are_pinned(name: str) -> None:
    """Actions are pinned to a full commit, with the version in a comment, and the same version everywhere."""
    used = re.findall(r"uses: *(\S+)(.*)", text(name))
    assert used
    for action, comment in used:
        assert re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}", action), action
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), action
    everywhere = {line for one in WORKFLOWS for line in re.findall(r"uses: *(.*)", text(one))}
    assert len(everywhere) == len({line.partition("@")[0] for line in everywhere})


@pytest.mark.parametrize("where", JOBS, ids="-".join)
def test_jobs_may_what_they_must(where: tuple[str, str]) -> None:
    """Jobs have only the rights above, a timeout and a fixed runner."""
    assert WORKFLOWS[where[0]]["permissions"] == {"contents": "read"}
    job = JOBS[where]
    assert job.get("permissions", {"contents": "read"}) == {"contents": "read"} | RIGHTS.get(where, {})
    assert job["timeout-minutes"] <= 90
    assert re.fullmatch(r"ubuntu-\d\d\.04", job["runs-on"])


@pytest.mark.parametrize(("where", "step"), STEPS)
def test_steps_run_our_scripts(where: tuple[str, str], step: dict[str, Any]) -> None:
    """Steps run scripts of the repository, which also run by hand; no outside input is part of a command."""
    if "run" in step:
        allowed = (*OURS, TERRAFORM) if where[0] == "ci" else OURS
        assert any(re.fullmatch(one, step["run"]) for one in allowed), step["run"]
        command, _, word = step["run"].partition(" ")
        if command.startswith("scripts/"):
            assert f"\n  {word}) " in (ROOT / command).read_text()
    elif step["uses"].startswith("actions/checkout@"):
        assert step["with"]["persist-credentials"] is False


def test_no_secrets() -> None:
    """No secret is used: AWS and signatures use OIDC, the rest uses the run's own token."""
    everything = "".join(map(text, WORKFLOWS))
    assert "secrets." not in everything
    assert not re.search(r"AKIA|access[-_]key|pull_request_target", everything, re.IGNORECASE)


def test_aws_is_changed_behind_a_gate() -> None:
    """Jobs that change AWS wait for the environment's reviewers, after the plan, and get their role by OIDC."""
    for where, step in STEPS:
        if step.get("uses", "").startswith("aws-actions/"):
            assert step["with"] == {"role-to-assume": "${{ vars.AWS_ROLE }}", "aws-region": "${{ vars.AWS_REGION }}"}
            only_looks = where == ("deploy", "plan")
            assert JOBS[where]["environment"] == "${{ inputs.environment }}" + "-plan" * only_looks
    assert "needs: plan" in text("deploy")
    for name in ("deploy", "destroy", "stages"):
        assert WORKFLOWS[name]["concurrency"] == {
            "group": "aws-${{ inputs.environment }}",
            "cancel-in-progress": False,
        }
    assert JOBS["destroy", "destroy"]["if"] == "inputs.environment == inputs.again"
    assert JOBS["stages", "down"]["if"] == "inputs.direction == 'down' && inputs.environment == inputs.again"


def test_every_python_we_support_is_tested() -> None:
    """CI tests every Python from the oldest that pyproject.toml allows to the one in the image, each with its own."""
    job = JOBS["ci", "test"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    oldest = int(project["requires-python"].removeprefix(">=3."))
    (newest,) = set(re.findall(r"^FROM python:3\.(\d+)", (ROOT / "deploy/Dockerfile").read_text(), re.MULTILINE))
    assert job["strategy"]["matrix"]["python"] == [f"3.{minor}" for minor in range(oldest, int(newest) + 1)]
    assert job["steps"][-1]["env"] == {"PYTHON": "python${{ matrix.python }}"}
    assert "${PYTHON:-}" in (ROOT / "scripts/venv.sh").read_text()


@pytest.mark.skipif(shutil.which("zizmor") is None, reason="no zizmor here; see the header")
def test_zizmor_finds_nothing() -> None:
    """Zizmor reports nothing."""
    command = ["zizmor", "--offline", "--quiet", "--min-severity=low", str(ROOT / ".github")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout


# The scripts


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_scripts_are_sound(script: Path) -> None:
    """Bash parses the scripts, and shellcheck (if installed) reports nothing."""
    bash = shutil.which("bash") or "bash"
    assert subprocess.run([bash, "-n", str(script)], check=False).returncode == 0
    if shutil.which("shellcheck"):
        command = ["shellcheck", "--shell=bash", "--severity=warning", str(script)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stdout


class Programs:
    """Fake programs for a script: each prints a set answer and records how it was called."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._log = folder / "calls"

    def make(self, name: str, body: str) -> None:
        """Put a program on the PATH; `body` runs after the call is recorded."""
        file = self._folder / name
        file.write_text(f'#!/bin/sh\necho "{name} $*" >>{self._log}\n{body}\n')
        file.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        """The recorded calls, in order."""
        return self._log.read_text().splitlines() if self._log.exists() else []

    def run(self, script: str, word: str, root: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run one step of a script with these programs."""
        usual = {
            "PATH": f"{self._folder}:{os.environ['PATH']}",
            "GITHUB_REPOSITORY": "Some/Where",
            "GITHUB_ACTOR": "me",
        }
        usual |= {"REGISTRY_TOKEN": "hush", "GITHUB_SERVER_URL": "https://github.com", "ENVIRONMENT": "staging"}
        usual |= {"AWS_REGION": "eu-west-1", "STATE_BUCKET": "states"}
        command = [str(root / "scripts" / script), word]
        return subprocess.run(
            command, env=usual | environment, capture_output=True, text=True, check=False, timeout=300
        )


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    """Create the folder of programs, with a docker."""
    made = Programs(tmp_path)
    made.make("docker", f"case $* in *inspect*) echo {DIGEST};; esac")
    return made


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a folder with the scripts and an empty terraform folder, because scripts write beside themselves."""
    shutil.copytree(ROOT / "scripts", tmp_path / "checkout/scripts", ignore=shutil.ignore_patterns("dashboards"))
    (tmp_path / "checkout/terraform").mkdir()
    return tmp_path / "checkout"


@pytest.mark.parametrize(
    ("tag", "kind", "verified", "code"),
    [
        ("v0.1.0", "tag", "true", 0),
        ("v0.1.0", "tag", "false", 1),
        ("v0.1.0", "commit", "true", 1),
        ("v9.9.9", "tag", "true", 1),
    ],
)
def test_only_a_signed_tag_of_this_version_is_released(
    programs: Programs, tag: str, kind: str, verified: str, code: int
) -> None:
    """A release needs a signed, annotated tag that equals the project's version."""
    tag = tag.replace("0.1.0", re.findall(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[0])
    programs.make("gh", f"case $2 in *git/ref/*) echo {kind} 1234;; *) echo {verified};; esac")
    done = programs.run("release.sh", "check-tag", GITHUB_REF_NAME=tag)
    assert done.returncode == code, done.stderr
    assert bool(done.stderr) == bool(code)


def test_an_image_nobody_signed_is_not_deployed(programs: Programs) -> None:
    """The digest is printed only after the image's signature, by our release workflow for that tag, is verified."""
    programs.make("cosign", "exit 1")
    refused = programs.run("deploy.sh", "find-image", RELEASE="v0.1.0")
    assert refused.returncode != 0
    assert "digest=" not in refused.stdout
    programs.make("cosign", "")
    assert f"digest={DIGEST}" in programs.run("deploy.sh", "find-image", RELEASE="v0.1.0").stdout
    (verified, *_) = [call for call in programs.calls if call.startswith("cosign")]
    assert "Some/Where/.github/workflows/release.yml@refs/tags/v0.1.0" in verified
    assert programs.run("deploy.sh", "find-image", RELEASE="v1; true").returncode == 1
    assert "hush" not in "".join(programs.calls)


def test_a_deployment_copies_the_image_first(programs: Programs, checkout: Path) -> None:
    """A deployment copies the image into the environment's registry by digest before Terraform gets it."""
    repository = "1234.dkr.ecr.eu-west-1.amazonaws.com/prices-staging/aggregator"
    said = f'*repositories*) echo \'{{"aggregator": "{repository}"}}\';; *api_url*) echo http://prices;;'
    programs.make("terraform", f"case $* in {said} esac")
    programs.make("aws", "case $* in *describe-images*) test -e $0.pushed || { touch $0.pushed; exit 1; };; esac")
    done = programs.run("deploy.sh", "apply", checkout, DIGEST=DIGEST, RELEASE="v0.1.0")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "url=http://prices"
    copied = programs.calls.index(
        f"docker buildx imagetools create --tag {repository}:v0.1.0 ghcr.io/some/where@{DIGEST}"
    )
    (applied,) = [at for at, call in enumerate(programs.calls) if "apply" in call]
    assert copied < applied
    assert "hush" not in "".join(programs.calls)


def test_states_of_other_environments_keep_their_bucket(programs: Programs, checkout: Path) -> None:
    """The bucket of states is not deleted while it has a state with resources, of whatever environment."""
    held = '{"resources": [{"mode": "managed"}]}'
    programs.make(
        "terraform",
        "case $* in *bootstrap.tfstate*) touch $0.looks;; *init*) rm -f $0.looks;;"
        f" *state*) [ ! -e $0.looks ] || echo '{held}';; esac",
    )
    programs.make("aws", f"case $* in *list*) echo price-aggregator/other.tfstate;; *cp*) echo '{held}';; esac")
    done = programs.run("deploy.sh", "down", checkout, STAGE="0-bootstrap", CONFIRM="staging")
    assert done.returncode == 1
    assert "price-aggregator/other.tfstate" in done.stderr
    assert not [call for call in programs.calls if "destroy" in call]


@pytest.mark.parametrize("word", ["plan", "apply", "destroy"])
def test_an_environment_made_in_stages_is_not_applied_as_one(programs: Programs, checkout: Path, word: str) -> None:
    """An environment that was made in stages is not applied as one, which would make the trade stream twice."""
    programs.make("terraform", "case $* in *switches*) echo '{\"staged\": true}';; esac")
    done = programs.run("deploy.sh", word, checkout, DIGEST=DIGEST)
    assert (done.returncode, "use up and down" in done.stderr) == (1, True)
    assert not [call for call in programs.calls if call.split()[2] == word]


@pytest.mark.parametrize(("with_data", "steps"), [("false", ["destroy"]), ("true", ["apply", "destroy"])])
def test_protection_comes_off_only_where_asked(
    programs: Programs, checkout: Path, with_data: str, steps: list[str]
) -> None:
    """Deletion protection is switched off only when asked for; otherwise the removal is refused."""
    programs.make("terraform", 'echo "protection ${TF_VAR_deletion_protection:-on}"')
    done = programs.run("deploy.sh", "destroy", checkout, WITH_DATA=with_data)
    assert done.returncode == 0, done.stderr
    assert [word for word in (call.split()[2] for call in programs.calls) if word not in ("init", "output")] == steps
    assert ("protection false" in done.stdout) == (with_data == "true")
