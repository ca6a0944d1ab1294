"""The ports of a cluster."""

import pytest

from cluster.errors import JoinError
from cluster.join.ports import NUM_WORKER_PORTS, Ports, ranges


@pytest.mark.parametrize(
    ("ports", "text"),
    [
        ([], ""),
        ([7], "7"),
        ([3, 1, 2], "1-3"),
        ([9, 4, 5], "4-5, 9"),
    ],
)
def test_ports_read_as_ranges(ports: list[int], text: str) -> None:
    assert ranges(ports) == text


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"first": 80}, "--first-port must be from 1024 to 65476"),
        ({"first": 65500}, "--first-port must be from 1024 to 65476"),
        ({"head": 10005}, r"--port must .* not within the range of --first-port \(10000-10059\)"),
        ({"gate": 6379}, "--port and --gate-port must differ"),
    ],
)
def test_ports_that_cannot_be_are_refused(fields: dict[str, int], message: str) -> None:
    with pytest.raises(JoinError, match=message):
        Ports(**fields)


@pytest.mark.parametrize("has_client", [True, False])
@pytest.mark.parametrize("is_head", [True, False])
def test_ray_is_told_no_port_that_is_not_proven(is_head: bool, has_client: bool) -> None:
    ports = Ports()
    words = ports.ray_arguments(is_head=is_head, has_client=has_client)
    told = [word.partition("=") for word in words if "port=" in word]
    numbers = {int(value) for name, _, value in told if name != "--dashboard-port"}
    assert numbers <= set(ports.of(is_head=is_head))
    # A Ray without its client refuses to be told of the port.
    assert any("client" in word for word in words) is has_client
    assert len(ports.of(is_head=False)) == 1 + 10 + NUM_WORKER_PORTS
