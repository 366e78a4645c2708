"""An earlier revision is checked out, with the packages that it locks."""

import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from graphql import print_schema

from bench.revisions import Revision, RevisionUnusable, checked_out

LOCKS = ("requirements.txt", "requirements-build.txt")
PROGRAM = "messenger"
# Builds an editable wheel without any package that would have to be downloaded.
BACKEND = """
import zipfile

def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    name = "messenger-1-py3-none-any.whl"
    info = "messenger-1.dist-info"
    with zipfile.ZipFile(f"{wheel_directory}/{name}", "w") as wheel:
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: messenger\\nVersion: 1\\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(f"{info}/entry_points.txt", "[console_scripts]\\nmessenger = code:main\\n")
        wheel.writestr(f"{info}/RECORD", "")
    return name
"""
FILES = {
    **dict.fromkeys(LOCKS, "# no packages\n"),
    "docs/configuration.md": "| `MESSENGER_PORT` |\n",
    "graphql/schema.graphql": "type Query { first: Int }\n",
    "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    '[project]\nname = "messenger"\nversion = "1"\n',
    "backend.py": BACKEND,
}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return a repository with two commits, of which the first is tagged `v1`."""
    root = tmp_path / "repository"
    for name, content in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    git(root, "init", "--quiet")
    commit(root)
    git(root, "tag", "v1")
    (root / "graphql" / "schema.graphql").write_text("type Query { second: Int }\n")
    commit(root)
    return root


def git(root: Path, *arguments: str) -> str:
    command = [
        "git",
        "-C",
        str(root),
        "-c",
        "user.name=test",
        "-c",
        "user.email=test@example.com",
        *arguments,
    ]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def commit(root: Path) -> None:
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "change")


@contextmanager
def opened(root: Path, name: str, tell: Callable[[str], None] = print) -> Generator[Revision]:
    with checked_out(name, root, root.parent / "environments", tell) as revision:
        yield revision


def test_a_revision_is_checked_out_until_the_block_ends(repository: Path):
    with opened(repository, "v1") as revision:
        checkout = revision.version.checkout
        assert "first: Int" in print_schema(revision.schema())
        assert revision.commit == git(repository, "rev-parse", "v1")
        assert str(revision) == f"v1 ({revision.commit[:12]})"
    assert not checkout.exists()


def test_a_revision_with_the_same_lock_files_runs_in_the_environment_of_this_process(repository: Path):
    with opened(repository, "v1") as revision:
        assert revision.version.programs == Path(sys.executable).parent


def test_a_revision_with_other_lock_files_gets_an_environment_which_is_kept(repository: Path):
    for lock in LOCKS:
        (repository / lock).write_text("# other packages\n")
    commit(repository)
    told: list[str] = []
    with opened(repository, "v1", told.append) as revision:
        programs = revision.version.programs
        assert programs.is_relative_to(repository.parent / "environments")
        assert (programs / PROGRAM).exists()
    with opened(repository, "v1", told.append) as revision:
        assert revision.version.programs == programs
    assert len(told) == 1


def test_an_environment_that_was_interrupted_is_made_again(repository: Path):
    (repository / LOCKS[0]).write_text("# other packages\n")
    commit(repository)
    with opened(repository, "v1") as revision:
        programs = revision.version.programs
    (programs.parent / "made").unlink()
    (programs / PROGRAM).unlink()
    with opened(repository, "v1"):
        assert (programs / PROGRAM).exists()


def test_packages_that_cannot_be_installed_are_reported(repository: Path):
    (repository / LOCKS[0]).write_text("./missing\n")
    commit(repository)
    git(repository, "tag", "broken")
    (repository / LOCKS[0]).write_text("# no packages\n")
    commit(repository)
    with pytest.raises(RevisionUnusable, match="cannot be installed"), opened(repository, "broken"):
        pass


@pytest.mark.parametrize("name", ["v2", "--output=x", "v1:graphql", ""])
def test_an_unknown_revision_is_rejected(repository: Path, name: str):
    with pytest.raises(RevisionUnusable, match="is not a commit, tag or branch"), opened(repository, name):
        pass


def test_lock_files_that_are_not_committed_are_rejected(repository: Path):
    (repository / LOCKS[1]).write_text("# other packages\n")
    with (
        pytest.raises(
            RevisionUnusable, match=r"^requirements-build.txt has uncommitted changes.* Commit them"
        ),
        opened(repository, "v1"),
    ):
        pass


def test_a_revision_from_before_the_schema_was_written_down_is_rejected(repository: Path):
    git(repository, "rm", "--quiet", "graphql/schema.graphql")
    commit(repository)
    with (
        pytest.raises(RevisionUnusable, match=r"HEAD has no graphql/schema.graphql"),
        opened(repository, "HEAD"),
    ):
        pass
