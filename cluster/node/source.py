"""The source of this tool: its folder, and its hash. Stdlib only."""

import hashlib
from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The folder of all packages: a checkout's, or site-packages."""

PACKAGES = ("tune", "trainables", "search_spaces", "cluster")


def digest() -> str:
    """Return the SHA-256 of all modules, by path and content: hosts of one search must agree."""
    sha256 = hashlib.sha256()
    for path in sorted(path for name in PACKAGES for path in (ROOT / name).rglob("*.py")):
        sha256.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return sha256.hexdigest()
