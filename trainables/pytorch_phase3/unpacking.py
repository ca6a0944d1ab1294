"""A GGUF file, converted once to safetensors and kept.

transformers reads a GGUF file in Python and dequantises it: 17 s for SmolLM2-135M, which every
trial of a search would pay again. The converted model loads in 0.2 s.
"""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer


def unpack(path: Path, *, dtype: torch.dtype, folder: Path) -> Path:
    """Return the folder that holds the model of the GGUF file at `path` as safetensors.

    It is made in `folder` the first time, and again if the file has changed. Trials may do so at
    the same time: each writes a folder of its own, and the first complete one stays.
    """
    stat = path.stat()
    identity = f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns} {dtype}"
    target = folder / f"{path.stem}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"
    if target.is_dir():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=folder))
    try:
        _convert(path, dtype, making)
        try:
            os.rename(making, target)
        except OSError:
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return target


def _convert(path: Path, dtype: torch.dtype, folder: Path) -> None:
    where, name = str(path.parent), path.name
    config = AutoConfig.from_pretrained(where, gguf_file=name)
    packed = AutoModelForCausalLM.from_pretrained(where, gguf_file=name, dtype=dtype)
    # transformers refuses to save what came from GGUF: its weights move into a model that did not.
    model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    model.load_state_dict(packed.state_dict())
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(where, gguf_file=name).save_pretrained(folder)
