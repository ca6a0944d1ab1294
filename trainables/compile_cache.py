"""JAX's persistent compilation cache for trials: what one process compiled, the next one reads.

A search runs some programs more than once, each time in a fresh process: finals, the soak, what is
run again after --resume. Read from the cache they are ready in a third of the time (compiling takes
2 s of a quiet machine, and the first state's program another), with the same bytes, the same number
of compilations and, bit for bit, the same losses.

Only on the CPU. On a GPU every compilation also times kernels and picks some; a final that reads
the pick of an earlier process would sample one pick only, and call its spread the noise.

Reading a program is running its code: the folder must be the person's alone (mode 0700), and it
stays on its machine. It is no part of a search's own folder, which is copied between boxes.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

_FOLDER = "JAX_COMPILATION_CACHE_DIR"
_LEAST_S = "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"


def folder_for(run_folder: Path, private: Path) -> Path:
    """Where in the person's private folder the programs of one search lie, also after --resume."""
    name = hashlib.sha256(str(run_folder.resolve()).encode()).hexdigest()[:16]
    return private / "compiled" / name


def variables(folder: Path | str, base: Mapping[str, str]) -> dict[str, str]:
    """Return what makes JAX keep its programs in `folder`; a cache of the person's own goes first.

    JAX keeps what took a second to compile; on a fast machine that is nearly nothing.
    """
    if base.get(_FOLDER):
        return {}
    return {_FOLDER: str(folder), _LEAST_S: base.get(_LEAST_S) or "0.2"}
