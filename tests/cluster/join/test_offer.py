"""What a host offers to a cluster."""

import pytest

from cluster.errors import JoinError
from cluster.join.offer import HostOffer, choose_offer
from cluster.node import nvml
from fake_nvml import card, fake_nvml


def test_host_that_offers_nothing_publishes_no_class() -> None:
    offer = HostOffer(machine_class="x", num_gpus=0, on_cpu=False)
    assert "--resources={}" in offer.ray_arguments(is_head=False)
    assert '--resources={"rl-tuner-joined": 1}' in offer.ray_arguments(is_head=True)
    assert HostOffer(machine_class="x", num_gpus=0, on_cpu=True).num_trials == 1


def test_offer_of_gpus_that_differ_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    cards = [card("NVIDIA GeForce RTX 4090", total_gib=24), card("NVIDIA GeForce RTX 3090")]
    monkeypatch.setattr(nvml, "load", lambda: fake_nvml(cards))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with pytest.raises(JoinError, match="the GPUs of this host differ"):
        choose_offer(num_gpus=None, on_cpu=False, is_head=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    offer = choose_offer(num_gpus=None, on_cpu=False, is_head=False)
    assert (offer.machine_class, offer.num_gpus) == ("rtx-3090-20gb-130w", 1)


def test_host_whose_gpu_is_lost_offers_nothing_before_the_others_are_chosen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cards = [card(), card(errors={"handle": 15}), card()]
    monkeypatch.setattr(nvml, "load", lambda: fake_nvml(cards))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with pytest.raises(JoinError, match=r"GPU 1 does not answer \(GPU is lost\)"):
        choose_offer(num_gpus=None, on_cpu=False, is_head=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,2")
    assert choose_offer(num_gpus=None, on_cpu=False, is_head=False).num_gpus == 2
