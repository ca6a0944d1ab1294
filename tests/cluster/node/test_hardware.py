"""The fingerprint, with a driver of our own in NVML's place."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from cluster.node import hardware
from cluster.node.gpus import Gpu
from cluster.node.hardware import Machine
from cluster.structure import structure
from fake_nvml import card, fake_nvml

GIB = 2**30


def machine(**changes: Any) -> Machine:
    """A GPU machine, but for `changes`."""
    gpu = Gpu(name="NVIDIA A100-SXM4-80GB", memory_bytes=80 * GIB, power_limit_w=400.0)
    base = Machine(
        gpus=(gpu,),
        driver_version="580.65.06",
        cuda_driver_version="13.0",
        cpu_model="AMD EPYC 7763 64-Core Processor",
        num_cpus=16,
        cpu_quota_cores=7.65,
        ram_bytes=64 * GIB,
        os="Linux 6.8.0 x86_64",
        python="3.12.3",
        versions={"jax": "0.10.2", "ray": "2.60.0"},
    )
    return dataclasses.replace(base, **changes)


@pytest.mark.parametrize("as_bytes", [False, True], ids=["text", "bytes of an old pynvml"])
def test_the_driver_is_read_from_nvml(as_bytes: bool) -> None:
    driver = fake_nvml([card(), card()], cuda=12080, as_bytes=as_bytes)
    found = hardware.probe(driver=driver)
    gpu = Gpu(name="NVIDIA RTX 4000 Ada Generation", memory_bytes=20 * GIB, power_limit_w=130.0)
    assert found.gpus == (gpu, gpu)
    assert (found.driver_version, found.cuda_driver_version) == ("580.65.06", "12.8")


def test_a_driver_without_libcuda_names_no_cuda() -> None:
    assert hardware.probe(driver=fake_nvml(cuda=None)).cuda_driver_version is None


def test_this_machine_has_a_fingerprint_that_survives_json() -> None:
    found = hardware.probe()
    assert structure(Machine, json.loads(json.dumps(dataclasses.asdict(found)))) == found
    assert found.versions["ray"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "gpus: missing"),
        ({"gpus": [], "versions": {}, "serial": "123"}, "serial: unknown key"),
        ({"gpus": [{"name": "A"}], "versions": {}}, r"gpus\[0\]\.memory_bytes: missing"),
    ],
)
def test_a_damaged_fingerprint_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        structure(Machine, fields)


A100_40 = Gpu(name="NVIDIA A100-SXM4-40GB", memory_bytes=40 * GIB, power_limit_w=400.0)


RTX_4000 = Gpu(name="NVIDIA RTX 4000 Ada Generation", memory_bytes=20475 << 20, power_limit_w=130.0)


@pytest.mark.parametrize(
    ("changes", "slug"),
    [
        ({}, "a100-sxm4-80gb-80gb-400w"),
        ({"gpus": (A100_40,)}, "a100-sxm4-40gb-40gb-400w"),
        ({"gpus": (RTX_4000,)}, "rtx-4000-ada-generation-20gb-130w"),
        (
            {"gpus": (dataclasses.replace(RTX_4000, power_limit_w=70.0),)},
            "rtx-4000-ada-generation-20gb-70w",
        ),
        (
            {"gpus": (dataclasses.replace(RTX_4000, power_limit_w=None),)},
            "rtx-4000-ada-generation-20gb",
        ),
        ({"gpus": ()}, "amd-epyc-7763-64-core-processor-16cpu"),
        (
            {"gpus": (), "cpu_model": "Intel(R) Core(TM) i9-13900K", "num_cpus": 8},
            "intel-core-i9-13900k-8cpu",
        ),
    ],
)
def test_a_class_is_a_gpu_with_its_memory_and_power_or_a_cpu(
    changes: dict[str, Any], slug: str
) -> None:
    assert hardware.machine_class(machine(**changes)) == slug


def test_equal_machines_do_not_differ() -> None:
    assert hardware.differences(machine(), machine()) == []


def test_differences_are_sentences() -> None:
    current = machine(gpus=(), driver_version=None, num_cpus=8, versions={"jax": "0.11.0"})
    assert hardware.differences(machine(), current) == [
        "GPU was NVIDIA A100-SXM4-80GB (80.0 GiB, 400 W), is absent here.",
        "NVIDIA driver was 580.65.06, is absent here.",
        "number of CPUs was 16, is 8 here.",
        "jax was 0.10.2, is 0.11.0 here.",
        "ray was 2.60.0, is absent here.",
    ]


def test_class_is_read_back_from_its_resource() -> None:
    assert hardware.class_of_resource(hardware.class_resource("h100-80gb-700w")) == "h100-80gb-700w"
    assert hardware.class_of_resource("GPU") is None


@pytest.mark.parametrize(
    ("line", "cuda"),
    [
        ("cuda: Optional[str] = '13.0'", "13.0"),
        ('cuda = "12.8"', "12.8"),
        ("cuda: Optional[str] = None", None),
        ("hip: Optional[str] = '6.4'", None),
    ],
)
def test_torchs_cuda_is_read_and_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, cuda: str | None
) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise AssertionError('imported')\n")
    (tmp_path / "torch" / "version.py").write_text(f"__version__ = '2.13.0'\n{line}\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert hardware.torch_cuda() == cuda
