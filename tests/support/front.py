"""nginx and Caddy in front of the messenger, configured as in docs/deployment.md."""

import os
import re
import shutil
import ssl
import subprocess
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import trustme

from tests.support.checkout import ROOT

DEPLOYMENT = ROOT / "docs" / "deployment.md"
_PATH = "/usr/sbin:/usr/bin:/usr/local/bin"
NGINX = shutil.which("nginx", path=_PATH)
CADDY = shutil.which("caddy", path=_PATH)


def recipe(program: str) -> str:
    """Return the program's configuration file from docs/deployment.md."""
    found = re.search(rf"^```{program.lower()}\n(.*?)^```", DEPLOYMENT.read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def substituted(text: str, changes: dict[str, str]) -> str:
    """Insert this machine's names and ports; each of them must occur in the text."""
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


@contextmanager
def running_nginx(
    folder: Path, port: int, upstream: Sequence[int], *, upgrades: bool = False
) -> Generator[ssl.SSLContext]:
    """Run nginx on that port, and yield an SSL context that trusts its certificate.

    With `upgrades` it forwards upgrades, with the lines that many configurations use for WebSockets.
    """
    assert NGINX is not None
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    paths = {
        "/etc/ssl/chat.example.com.pem": folder / "cert.pem",
        "/etc/ssl/chat.example.com.key": folder / "key.pem",
    }
    certificate.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    changes = {
        "listen 443 ": f"listen 127.0.0.1:{port} ",
        "127.0.0.1:8000": f"127.0.0.1:{upstream[0]}",
        "127.0.0.1:8001": f"127.0.0.1:{upstream[1]}",
        **{old: str(new) for old, new in paths.items()},
        "server_name chat.example.com": "server_name localhost",
    }
    if upgrades:
        changes['proxy_set_header Connection "";'] = (
            'proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";'
        )
    # The rest of the file is the distribution's, with files of our own.
    places = "".join(
        f"{kind}_temp_path {folder / kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    configuration = folder / "nginx.conf"
    configuration.write_text(f"""
        {"user root;" if os.geteuid() == 0 else ""}
        daemon off;
        pid {folder / "nginx.pid"};
        error_log stderr;
        events {{ worker_connections 768; }}
        http {{
            access_log off;
            {places}
            {substituted(recipe("nginx"), changes)}
        }}
    """)
    authority.cert_pem.write_to_path(folder / "root.crt")
    command = [NGINX, "-e", "stderr", "-p", str(folder), "-c", str(configuration)]
    with _running(command, folder, port, folder / "root.crt") as trusting:
        yield trusting


@contextmanager
def running_caddy(folder: Path, port: int, upstream: Sequence[int]) -> Generator[ssl.SSLContext]:
    """Run Caddy on that port, and yield an SSL context that trusts the certificate that it has generated."""
    assert CADDY is not None
    changes = {
        "chat.example.com {": f"localhost:{port} {{",
        "127.0.0.1:8000": f"127.0.0.1:{upstream[0]}",
        "127.0.0.1:8001": f"127.0.0.1:{upstream[1]}",
    }
    configuration = folder / "Caddyfile"
    # Keeps everything on this machine and in these folders.
    configuration.write_text(f"""
        {{
            admin off
            auto_https disable_redirects
            default_bind 127.0.0.1
            skip_install_trust
            storage file_system {folder / "storage"}
        }}
        {substituted(recipe("Caddy"), changes)}
    """)
    command = [CADDY, "run", "--adapter", "caddyfile", "--config", str(configuration)]
    root = folder / "storage" / "pki" / "authorities" / "local" / "root.crt"
    with _running(command, folder, port, root) as trusting:
        yield trusting


@contextmanager
def _running(command: list[str], folder: Path, port: int, root: Path) -> Generator[ssl.SSLContext]:
    """Run it until the block ends; the block begins once it forwards requests.

    Yield an SSL context for that root.
    """
    log_path = folder / "front.log"
    home = {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "XDG_DATA_HOME": str(folder)}
    with (
        log_path.open("wb") as log,
        subprocess.Popen(command, cwd=folder, env={**os.environ, **home}, stdout=log, stderr=log) as process,
    ):
        try:
            yield _trusting(process, f"https://localhost:{port}/auth/providers", root, log_path)
        finally:
            process.terminate()


def _trusting(process: subprocess.Popen[bytes], url: str, root: Path, log_path: Path) -> ssl.SSLContext:
    """Wait until the URL responds, and return an SSL context that trusts the responding server."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        assert process.poll() is None, log_path.read_text()
        try:
            context = ssl.create_default_context(cafile=root)
            if httpx.get(url, verify=context).status_code == 200:
                return context
        except (OSError, httpx.TransportError):
            os.sched_yield()
    raise AssertionError(f"it does not respond: {log_path.read_text()}")
