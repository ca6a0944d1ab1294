"""The commands that a person runs, and one search from its options to its profiles.

They run in the person's folder, which Python searches first and which may have a `cluster.py` or a
`trainables/` of its own. Ours are imported from beside this one before anything asks for them.
"""

import importlib
import sys
from pathlib import Path

_root = str(Path(__file__).resolve().parents[1])
sys.path.insert(0, _root)
for _package in ("cluster", "search_spaces", "trainables"):
    importlib.import_module(_package)
sys.path.remove(_root)


def prepare_worker() -> None:
    """Do nothing: a worker of Ray calls this (`cluster.node.ray_env`) and so imports ours first."""
