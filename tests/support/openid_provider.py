"""A certified OpenID provider, run by the tests."""

import os
import shutil
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tests.support.checkout import ROOT
from tests.support.stand_ins import CLIENT_ID, CLIENT_SECRET

PROVIDER = ROOT / "tests" / "oidc-provider"
# The system's Node, or else the one that the build installs.
NODE = shutil.which("node") or str(Path(sys.executable).parent / "node")


@contextmanager
def certified_provider(redirect_uri: str) -> Generator[str]:
    """Run the provider, with the messenger as its client, until the block ends; yield its issuer."""
    environment = {
        **os.environ,
        "CLIENT_ID": CLIENT_ID,
        "CLIENT_SECRET": CLIENT_SECRET,
        "REDIRECT_URI": redirect_uri,
    }
    provider = subprocess.Popen(
        [NODE, "provider.mjs"],
        cwd=PROVIDER,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert provider.stdout is not None
        issuer = provider.stdout.readline().decode().strip()
        assert issuer, "the provider does not start"
        yield issuer
    finally:
        provider.kill()
        provider.communicate()
