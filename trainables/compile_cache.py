"""JAX's persistent compilation cache for trials: one process compiles, the next one reads.

A search runs some programs more than once, each time in a fresh process: in the finals, in the
soak, and again after --resume. Read from the cache they are ready in a fraction of the time: on an
H100 in 1.0 s instead of 16 to 27 s, on two CPU cores in a third of it. They have the same bytes,
the same number of compilations and, on a CPU, bit for bit the same losses.

On a GPU every compilation times kernels and picks some of them, so that finals which read one
process's pick do not sample it. It was seen to matter little: seven compilations of one program
trained within 0.8 % of each other, five of another within 0.3 %, and a program that was read
trained as fast as the one it was read from (benchmarks/gpu).

To read a program is to run its code. So the folder belongs to one person (mode 0700) and stays on
its machine. It is no part of a search's own folder, which is copied between boxes.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

_FOLDER = "JAX_COMPILATION_CACHE_DIR"
_LEAST_S = "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"


def folder_for(run_folder: Path, private: Path) -> Path:
    """Return the folder of a search's programs within `private`; --resume finds it again."""
    name = hashlib.sha256(str(run_folder.resolve()).encode()).hexdigest()[:16]
    return private / "compiled" / name


def variables(folder: Path | str, base: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that make JAX keep its programs in `folder`.

    They are empty if the person has set a cache of their own in `base`. JAX keeps programs that
    took a second to compile; on a fast machine that is nearly none, so 0.2 s is set.
    """
    if base.get(_FOLDER):
        return {}
    return {_FOLDER: str(folder), _LEAST_S: base.get(_LEAST_S) or "0.2"}
