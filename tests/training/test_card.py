"""The commit in a model card is that of the package, not that of where a run was started."""

import subprocess
from pathlib import Path

import pytest

from srntt_pipeline.training.card import source_commit


def git(folder: Path, *arguments: str) -> str:
    someone = ["-c", "user.name=someone", "-c", "user.email=someone@example.org"]
    done = subprocess.run(
        ["git", *someone, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository that holds a package."""
    package = tmp_path / "checkout" / "package"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    git(package, "init", "--quiet", "..")
    git(package, "add", ".")
    git(package, "commit", "--quiet", "-m", "one")
    return package


def test_commit_of_the_package_wherever_a_run_is_started(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    git(elsewhere, "init", "--quiet")
    git(elsewhere, "commit", "--quiet", "--allow-empty", "-m", "other")
    monkeypatch.chdir(elsewhere)
    commit = git(checkout, "rev-parse", "HEAD")
    assert source_commit(checkout) == commit
    (checkout / "__init__.py").write_text("changed = True\n")
    assert source_commit(checkout) == f"{commit}-dirty"

    installed = elsewhere / ".venv" / "package"  # in a repository that does not track it
    installed.mkdir(parents=True)
    (installed / "__init__.py").touch()
    assert source_commit(installed) is None
    monkeypatch.setenv("PATH", "")
    assert source_commit(checkout) is None


def test_a_package_in_no_repository_has_no_commit(tmp_path: Path) -> None:
    (tmp_path / "__init__.py").touch()
    assert source_commit(tmp_path) is None
