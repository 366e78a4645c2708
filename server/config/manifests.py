"""Manifests of trusted documents, as the code generators of frontends write them."""

from pathlib import Path

from pydantic import TypeAdapter, ValidationError

_MANIFEST = TypeAdapter(dict[str, str])


def read_manifest(path: Path) -> dict[str, str]:
    """Return the manifest's documents by their hashes.

    Raises:
        ValueError: the file is not a JSON object from hashes to documents.
    """
    try:
        return _MANIFEST.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ValueError("must be a file with a JSON object from hashes to documents") from error
