"""What a host offers to a cluster."""

import dataclasses

import pytest

from cluster.errors import JoinError
from cluster.join.offer import HostOffer, choose_offer
from cluster.node import hardware


def test_host_that_offers_nothing_publishes_no_class() -> None:
    offer = HostOffer(machine_class="x", num_gpus=0, on_cpu=False)
    assert "--resources={}" in offer.ray_arguments()
    assert HostOffer(machine_class="x", num_gpus=0, on_cpu=True).num_trials == 1


def test_offer_of_gpus_that_differ_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus = tuple(
        hardware.Gpu(name=name, memory_bytes=24 * 2**30, power_limit_w=450.0)
        for name in ("NVIDIA GeForce RTX 4090", "NVIDIA GeForce RTX 3090")
    )
    machine = dataclasses.replace(hardware.probe(), gpus=gpus)
    monkeypatch.setattr(hardware, "probe", lambda: machine)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with pytest.raises(JoinError, match="the GPUs of this host differ"):
        choose_offer(num_gpus=None, on_cpu=False, is_head=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    offer = choose_offer(num_gpus=None, on_cpu=False, is_head=False)
    assert (offer.machine_class, offer.num_gpus) == ("rtx-3090-24gb-450w", 1)
