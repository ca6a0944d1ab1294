"""The classes of a cluster that nobody prepared, and who is left out of them, and why."""

import dataclasses

import pytest

from cluster.errors import UserError
from cluster_nodes import Nodes, install, node
from machines import GIB, GPU, cpu_host, gpu_host, verdict, visible
from trainables.ray_trainable import Place
from tune.driver.hosts import plain
from tune.preflight.findings import Device, NotFitError, PreflightRequest

CARD = verdict(gpu_host())
CARDS = verdict(gpu_host(visible(), visible("1")), num_parallel_trials=2)
OTHER = dataclasses.replace(GPU, name="NVIDIA H100 80GB HBM3", memory_bytes=80 * GIB)
H100 = verdict(gpu_host(visible(gpu=OTHER)))
CPU = verdict(cpu_host())
NEWER = {"jax": "0.11.2", "jaxlib": "0.11.2"}


def found(
    monkeypatch: pytest.MonkeyPatch, nodes: Nodes, request: PreflightRequest | None = None
) -> dict[str, tuple[str, ...]]:
    """The addresses of each class that is found."""
    classes = install(monkeypatch, nodes).find(request)
    return {
        name: tuple(host.address for host in one.hardware_class.hosts)
        for name, one in classes.items()
    }


def test_each_class_has_its_hosts_and_cpus_wait_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    said = [
        node("head", cpus=0),
        node("a", gpus=1),
        node("b", gpus=1),
        node("c", gpus=1),
        node("d"),
        node("gone", gpus=1, alive=False),
    ]
    nodes = Nodes(said, {"a": CARD, "b": H100, "c": CARD, "d": CPU})
    assert found(monkeypatch, nodes) == {
        "h100-80gb-hbm3-80gb-130w": ("b",),
        "rtx-4000-ada-generation-20gb-130w": ("a", "c"),
    }
    assert nodes.notes == ["d is left out: it has no GPU."]
    on_cpu = PreflightRequest(device="cpu")
    nodes = Nodes(said, {"a": CPU, "b": CPU, "c": CPU, "d": CPU})
    assert found(monkeypatch, nodes, on_cpu) == {"amd-epyc-8cpu": ("a", "b", "c", "d")}
    [hosts] = nodes.find(on_cpu).values()
    assert hosts.num_trials == 4
    assert hosts.take(alone=False).resources == {"CPU": 8.0}, "whatever GPUs they have"


def test_trial_asks_for_a_gpu_and_its_share_of_cpus_or_for_a_whole_host(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nodes = Nodes([node("b", cpus=6, gpus=1), node("a", cpus=16, gpus=2)], {"a": CARDS, "b": CARD})
    [cards] = install(monkeypatch, nodes).find().values()
    assert cards.num_trials == 3
    assert cards.take(alone=False) == Place(
        resources={"CPU": 6.0, "GPU": 1.0}, nodes=("id-a", "id-b")
    )
    assert cards.take(alone=False).label_selector == {"ray.io/node-id": "in(id-a,id-b)"}
    assert cards.most_gpus == 2
    assert cards.take(alone=True, num_gpus=2) == Place(
        resources={"CPU": 12.0, "GPU": 2.0}, nodes=("id-a",)
    ), "on one host"
    assert cards.take(alone=True).nodes == ("id-a",), "one GPU is compared with two there"
    nodes = Nodes([node("a", cpus=16), node("b", cpus=8)], {"a": CPU, "b": CPU})
    [hosts] = install(monkeypatch, nodes).find().values()
    assert (hosts.num_trials, hosts.most_gpus) == (2, None)
    assert hosts.take(alone=False, num_gpus=2).resources == {"CPU": 8.0}


@pytest.mark.parametrize(
    ("said", "answer", "reason"),
    [
        (node("x"), "its Python has no jax: pip install 'jax' there.", "its Python has no jax: "),
        (
            node("x", gpus=2),
            verdict(gpu_host(visible(), visible("1", OTHER)), num_parallel_trials=2),
            "its GPUs differ (rtx-4000-ada-generation-20gb-130w, h100-80gb-hbm3-80gb-130w)",
        ),
        (node("x"), CARD, "it has a GPU of which Ray does not know: start Ray there with --num"),
        (node("x", gpus=2), CARD, "Ray gives away 2 GPUs there, and 1 answer: "),
        (
            node("x", gpus=1),
            verdict(gpu_host(versions=NEWER)),
            "it has jax 0.11.2, and the others have 0.10.2: install the same.",
        ),
        (
            node("x", gpus=1),
            verdict(gpu_host(versions={"torch": "2.13.0"})),
            "it has no jax, and the others have 0.10.2: install the same.",
        ),
    ],
)
def test_host_that_does_not_fit_is_left_out_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, said: dict[str, object], answer: object, reason: str
) -> None:
    good = [node("a", gpus=1), node("b", gpus=1)]
    nodes = Nodes([*good, said], {"a": CARD, "b": CARD, "x": answer})  # type: ignore[dict-item]
    assert list(found(monkeypatch, nodes).values()) == [("a", "b")]
    [note] = nodes.notes
    assert note.startswith(f"x is left out: {reason}")


def test_cluster_without_any_host_that_fits_says_the_first_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nodes = Nodes([node("a"), node("b")], {"a": "it is full.", "b": "it is fuller."})
    with pytest.raises(NotFitError, match=r"no host of the cluster can take part\. a: it is full"):
        install(monkeypatch, nodes).find()
    nodes = Nodes([node("head", cpus=0)], {})
    with pytest.raises(NotFitError, match="the cluster: its nodes are gone"):
        install(monkeypatch, nodes).find()


@pytest.mark.parametrize(
    ("said", "device", "asked"),
    [
        ([node("a")], "auto", []),
        ([node("a", gpus=1)], "gpu", []),
        ([node("a", cpus=0, gpus=1)], "auto", []),
        ([node("head", cpus=0)], "auto", [{"CPU": 1.0}]),
        ([node("head", cpus=0)], "cpu", [{"CPU": 1.0}]),
        ([node("a")], "gpu", [{"GPU": 1.0}]),
    ],
)
@pytest.mark.parametrize("comes", [True, False])
def test_what_no_node_has_is_asked_of_ray(
    monkeypatch: pytest.MonkeyPatch,
    said: list[dict[str, object]],
    device: Device,
    asked: list[dict[str, float]],
    comes: bool,
) -> None:
    nodes = install(monkeypatch, Nodes(said, {}, comes=comes))
    if asked and not comes:
        with pytest.raises(UserError, match=r"no node .* to give for 60 s: start one, or wait"):
            plain.require_nodes(device, timeout_s=60, note=nodes.notes.append)
    else:
        plain.require_nodes(device, timeout_s=60, note=nodes.notes.append)
    assert nodes.asked_for == asked
    assert nodes.given_back == len(asked)
    assert len(nodes.notes) == len(asked)


def test_verdict_holds_on_the_tightest_host(monkeypatch: pytest.MonkeyPatch) -> None:
    little = verdict(gpu_host(cpus=dataclasses.replace(cpu_host().cpus, allowed=(0, 1))))
    nodes = Nodes([node("a", gpus=1), node("b", gpus=1)], {"a": CARD, "b": little})
    [one] = install(monkeypatch, nodes).find().values()
    assert one.preflight.thread_env is not None
    assert one.preflight.thread_env.cap == 2
