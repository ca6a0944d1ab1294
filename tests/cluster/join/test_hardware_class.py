"""Hosts of one class, and the place on them that a trial asks for."""

from cluster.join.hardware_class import ClassHost, HardwareClass


def test_trial_asks_for_a_place_of_its_class_and_for_a_whole_gpu() -> None:
    hosts = (ClassHost("id1", "10.0.0.10", 2), ClassHost("id2", "10.0.0.9", 1))
    chosen = HardwareClass(name="l4-22gb-72w", hosts=hosts, uses_gpu=True)
    assert chosen.num_trials == 3
    assert chosen.trial_resources() == {"CPU": 0, "GPU": 1, "class:l4-22gb-72w": 1}
    assert chosen.trial_resources(2) == {"CPU": 0, "GPU": 2, "class:l4-22gb-72w": 2}
    assert chosen.most_gpus == 2
    on_cpu = HardwareClass(name="epyc-8cpu", hosts=hosts[1:], uses_gpu=False)
    assert on_cpu.trial_resources(2) == {"CPU": 0, "GPU": 0, "class:epyc-8cpu": 1}
    assert on_cpu.most_gpus is None
    assert chosen.describe() == "l4-22gb-72w: 3 at once on 10.0.0.9, 10.0.0.10"
