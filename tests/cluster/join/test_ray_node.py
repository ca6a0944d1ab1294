"""The words and the environment that a node of Ray is started with."""

from pathlib import Path

from cluster.join import ray_node
from cluster.join.offer import HostOffer
from cluster.join.ports import Ports
from cluster.node import ray_env


def test_dashboard_is_on_loopback_and_the_token_is_no_argument(short_dir: Path) -> None:
    environ = {"TMPDIR": str(short_dir)}
    environ |= ray_env.environment(environ)
    ray_env.prepare(environ)
    token = ray_env.read_token(environ)
    words = ray_node.command(
        address="10.0.0.1",
        head_address=None,
        ports=Ports(),
        offer=HostOffer(machine_class="rtx-4090-24gb-450w", num_gpus=2, on_cpu=False),
        dashboard=True,
        temp_dir=short_dir,
    )
    assert "--dashboard-host=127.0.0.1" in words
    assert '--resources={"rl-tuner-joined": 1, "class:rtx-4090-24gb-450w": 2}' in words
    assert token not in " ".join(words)
    variables = ray_node.environment(environ, Ports(), is_head=True)
    assert token not in variables.values()
    assert variables["RAY_AUTH_MODE"] == "token"
    assert variables["RAY_num_grpc_internal_threads"] == "1"


def test_own_health_check_is_kept() -> None:
    given = {"RAY_health_check_period_ms": "77"}
    variables = ray_node.environment(given, Ports(), is_head=False)
    assert variables["RAY_health_check_period_ms"] == "77"
    assert variables["RAY_health_check_timeout_ms"] == "10000"
