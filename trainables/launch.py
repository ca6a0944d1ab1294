"""The start of a child of ours in a person's folder: python .../trainables/launch.py trial ...

A folder may have a `cluster.py` or a `trainables/` of its own. Ours are imported first; then the
folder is first on the path, as `python -m` would have it, for all that the person's loop imports.
Stdlib only.
"""

import importlib
import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    for package in ("cluster", "search_spaces", "trainables"):
        importlib.import_module(package)
    sys.path[0] = ""
    runpy.run_module(f"trainables.{sys.argv.pop(1)}", run_name="__main__", alter_sys=True)
