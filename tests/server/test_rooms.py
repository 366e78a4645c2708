"""What a part of the server imports, and what it does not."""

import subprocess
import sys

_IMPORTED_AFTER = """
import sys
{statement}
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def imported_by(statement: str) -> set[str]:
    program = _IMPORTED_AFTER.replace("{statement}", statement)
    command = [sys.executable, "-c", program]
    return set(subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.split())


def test_reading_the_settings_imports_neither_the_http_server_nor_graphql():
    imported = imported_by("from server.config.loading import load_settings; load_settings()")
    assert "pydantic_settings" in imported
    assert imported.isdisjoint({"uvicorn", "starlette", "strawberry", "graphql", "schema", "execution"})
