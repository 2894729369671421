"""`aggregator completion`: the script of a shell completes commands, flags and values."""

import shutil
import subprocess
from pathlib import Path

import pytest

from aggregator.cli.main import main
from aggregator.settings import Settings
from aggregator.settings.groups import grouped, ungrouped

BASH = shutil.which("bash") or "bash"
_ASK = """
source "$1"; shift
read -r _ _ function _ <<<"$(complete -p aggregator | sed 's/.*-F/complete -F/')"
COMP_WORDS=(aggregator "$@"); COMP_CWORD=$#
"$function" aggregator "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


def script(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Return the script of a shell."""
    assert main(["completion", shell]) == 0
    return capsys.readouterr().out


def test_bash_completes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Bash completes commands, flags of a command, and the values of a setting that has few."""
    file = tmp_path / "aggregator.bash"
    file.write_text(script("bash", capsys))

    def completed(*words: str) -> list[str]:
        command = [BASH, "--norc", "-c", _ASK, "bash", str(file), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.split()

    assert completed("do") == ["doctor"]
    assert completed("serve", "--hot-") == ["--hot-size", "--hot-interval"]
    assert completed("serve", "--log-format", "j") == ["json"]
    assert completed("demo", "--trade-feeds", "") == ["true", "false"]
    assert completed("archive", "v") == ["verify"]


@pytest.mark.parametrize(("shell", "check"), [("zsh", ["zsh", "-n"]), ("fish", ["fish", "--no-execute"])])
def test_other_shells_read_their_script(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], shell: str, check: list[str]
) -> None:
    """The scripts of zsh and fish have every command; the shell, if it is installed, reads its script."""
    text = script(shell, capsys)
    assert all(word in text for word in ("doctor", "dead-letters", "hot-size"))
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed: its script was made, but not read by it")
    file = tmp_path / "script"
    file.write_text(text)
    subprocess.run([*check, str(file)], check=True, timeout=60)


def test_every_setting_has_a_group() -> None:
    """Help and docs/settings.md have each setting once, under a subject."""
    names = list(Settings.model_fields)
    assert ungrouped() == []
    assert sorted(name for group in grouped(names).values() for name in group) == sorted(names)
