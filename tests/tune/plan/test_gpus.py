"""The table of GPUs: each is found by its names."""

import pytest

from cluster.errors import UserError
from tune.plan import gpus

GIB = 2**30


@pytest.mark.parametrize("gpu", gpus.known(), ids=lambda gpu: gpu.name)
def test_every_gpu_is_found_by_its_names_and_described_in_full(gpu: gpus.KnownGpu) -> None:
    for text in (gpu.name, gpu.device, gpu.name.lower().replace(" ", ""), f"NVIDIA {gpu.name}"):
        assert gpus.find(text) is gpu
    assert gpu.source
    assert 10 * GIB < gpu.memory_bytes < 200 * GIB
    target = gpu.target()
    assert target.count("{") == target.count("}")
    major, minor = gpu.compute_capability.split(".")
    assert f"cuda_compute_capability {{ major: {major} minor: {minor} }}" in target
    assert f"device_memory_size: {gpu.memory_bytes}\n" in target


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("GTX 970", "knows no GPU 'GTX 970'; it knows RTX 3090, RTX 4090, .*, H200"),
        ("", "knows no GPU ''"),
        ("A100", "'A100': write it as A100 40GB or A100 80GB"),
        ("RTX 6000", "write it as RTX 6000 Ada"),
    ],
)
def test_another_gpu_is_refused_with_the_names_that_there_are(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        gpus.find(text)
