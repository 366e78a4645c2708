"""Checks out earlier revisions of this repository, and installs their packages."""

import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from graphql import GraphQLSchema, build_schema

from bench.messenger import CONFIGURATION, Version

# What `make setup` installs.
_LOCKS = ("requirements.txt", "requirements-build.txt")
# The files that the benchmark reads from a revision.
_SCHEMA = Path("graphql", "schema.graphql")
_NEEDED = (*map(Path, _LOCKS), _SCHEMA, CONFIGURATION)
# Written when an environment is complete.
_MADE = "made"


class RevisionUnusable(Exception):
    """A revision cannot be measured; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Revision:
    """A revision: the given name, its commit, and its version of the messenger."""

    name: str
    commit: str
    version: Version

    def schema(self) -> GraphQLSchema:
        """Return its schema."""
        return build_schema((self.version.checkout / _SCHEMA).read_text())

    def __str__(self) -> str:
        return self.name if self.commit.startswith(self.name) else f"{self.name} ({self.commit[:12]})"


@contextmanager
def checked_out(
    name: str, repository: Path, environments: Path, tell: Callable[[str], None]
) -> Generator[Revision]:
    """Check out a revision of a repository into a temporary folder, which is removed when the block ends.

    If it has the same lock files, it runs in the environment of this process. Otherwise, an environment is
    created from its lock files, and cached in `environments`.

    Raises:
        RevisionUnusable: There is no such revision, it is too old, or its packages cannot be installed.
    """
    commit = _commit(name, repository)
    with tempfile.TemporaryDirectory(prefix="messenger-revision-") as folder:
        checkout = Path(folder)
        _check_out(commit, repository, checkout)
        if missing := [str(needed) for needed in _NEEDED if not (checkout / needed).is_file()]:
            raise RevisionUnusable(f"{name} has no {', '.join(missing)}. Choose a later revision.")
        programs = _programs(checkout, repository, environments, tell)
        yield Revision(name, commit, Version(checkout, programs))


def _commit(name: str, repository: Path) -> str:
    done = _git(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    if done.returncode:
        raise RevisionUnusable(
            f"{name!r} is not a commit, tag or branch of {repository}. If it is in a remote repository, "
            "fetch it first."
        )
    return done.stdout.decode().strip()


def _check_out(commit: str, repository: Path, folder: Path) -> None:
    # Not a worktree, which would stay registered in the repository after a crash.
    _git(repository, "clone", "--quiet", "--shared", "--no-checkout", str(repository), str(folder))
    done = _git(folder, "checkout", "--quiet", "--detach", commit)
    if done.returncode:
        raise RevisionUnusable(f"{commit} cannot be checked out: {done.stderr.decode().strip()}")


def _programs(checkout: Path, repository: Path, environments: Path, tell: Callable[[str], None]) -> Path:
    """Return the `bin` folder of an environment with the revision's locked packages."""
    changed = _git(repository, "status", "--porcelain", "--", *_LOCKS).stdout.decode().split()[1::2]
    if changed:
        raise RevisionUnusable(
            f"{' and '.join(changed)} has uncommitted changes, so it is unknown whether they are installed. "
            "Commit them, and run make bench."
        )
    theirs = [checkout / lock for lock in _LOCKS]
    if _content(theirs) == _content([repository / lock for lock in _LOCKS]):
        return Path(sys.executable).parent
    return _environment(checkout, theirs, environments, tell)


def _environment(
    checkout: Path, locks: Sequence[Path], environments: Path, tell: Callable[[str], None]
) -> Path:
    """Return the `bin` folder of a cached environment, creating the environment if it is missing."""
    environment = environments / hashlib.sha256(_content(locks) + sys.version.encode()).hexdigest()[:16]
    programs = environment / Path(sys.executable).parent.name
    if (environment / _MADE).exists():
        return programs
    tell("installing the packages of the revision")
    shutil.rmtree(environment, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", f"--python={environment}", "--quiet", "--disable-pip-version-check"]
    for command in (
        [sys.executable, "-m", "venv", "--without-pip", str(environment)],
        [*pip, "install", "--require-hashes", *(f"--requirement={lock}" for lock in locks)],
        # For its commands. Its code is imported from the checkout of each run.
        [*pip, "install", "--no-deps", "--no-build-isolation", "--editable", str(checkout)],
    ):
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            raise RevisionUnusable(
                f"the packages of the revision cannot be installed:\n{done.stderr.strip()}"
            )
    (environment / _MADE).touch()
    return programs


def _content(locks: Sequence[Path]) -> bytes:
    return b"\0".join(lock.read_bytes() for lock in locks)


def _git(repository: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["git", "-C", str(repository), *arguments], check=False, capture_output=True)
    except FileNotFoundError:
        raise RevisionUnusable("git is missing. Install it to compare with an earlier revision.") from None
