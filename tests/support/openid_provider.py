"""A certified OpenID provider, run by the tests."""

import os
import signal
import subprocess
from collections.abc import Generator
from contextlib import contextmanager

from tests.support.checkout import ROOT, require
from tests.support.frontends import ENVIRONMENT
from tests.support.stand_ins import CLIENT_ID, CLIENT_SECRET

PROVIDER = ROOT / "tests" / "oidc-provider"


@contextmanager
def certified_provider(redirect_uri: str) -> Generator[str]:
    """Run the provider, with the messenger as its client, until the block ends; yield its issuer."""
    require(PROVIDER / "node_modules")
    environment = {
        **ENVIRONMENT,
        "CLIENT_ID": CLIENT_ID,
        "CLIENT_SECRET": CLIENT_SECRET,
        "REDIRECT_URI": redirect_uri,
    }
    provider = subprocess.Popen(
        ["node", "provider.mjs"],
        cwd=PROVIDER,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        # The `node` of a virtual environment is a script that starts the real one as a child.
        process_group=0,
    )
    try:
        assert provider.stdout is not None
        issuer = provider.stdout.readline().decode().strip()
        assert issuer, "the provider does not start"
        yield issuer
    finally:
        os.killpg(provider.pid, signal.SIGKILL)
        provider.communicate()
