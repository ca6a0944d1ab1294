"""CPU quotas, read off fake trees of cgroup mounts."""

from pathlib import Path

import pytest

from cluster.node.quota import Quotas, QuotaUse

V2 = {
    "cpu.max": "800000 100000",
    "cpu.stat": "usage_usec 5000000\nnr_periods 9\nnr_throttled 3\nthrottled_usec 250000",
}
V1 = {
    "cpu.cfs_quota_us": "800000",
    "cpu.cfs_period_us": "100000",
    "cpu.stat": "nr_periods 9\nnr_throttled 3\nthrottled_time 250000000",
    "cpuacct.usage": "5000000000",
}
USED = QuotaUse(used_s=5.0, held_back_s=0.25)


@pytest.mark.parametrize(
    ("version", "files", "found"),
    [
        (2, V2, (USED,)),
        (1, V1, (USED,)),
        (2, V2 | {"cpu.max": "max 100000"}, ()),
        (1, V1 | {"cpu.cfs_quota_us": "-1"}, ()),
        (2, {"cpu.stat": V2["cpu.stat"]}, ()),  # the host's own root
        (2, V2 | {"cpu.stat": "usage_usec 5000000"}, ()),
        (1, {name: text for name, text in V1.items() if name != "cpuacct.usage"}, ()),
    ],
)
def test_use_is_read_where_there_is_a_quota(
    version: int, files: dict[str, str], found: tuple[QuotaUse, ...], tmp_path: Path
) -> None:
    proc, mount = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    (mount / "pod").mkdir(parents=True)
    kind = "cgroup2 cgroup2 rw" if version == 2 else "cgroup cgroup rw,cpu,cpuacct"
    (proc / "self/mountinfo").write_text(f"30 25 0:26 / {mount} rw,nosuid shared:9 - {kind}\n")
    (proc / "self/cgroup").write_text("0::/pod\n" if version == 2 else "1:cpu,cpuacct:/pod\n")
    for name, text in files.items():
        (mount / "pod" / name).write_text(f"{text}\n")
    assert Quotas(proc=proc).read() == found


def test_this_machine_can_be_read() -> None:
    assert all(use.used_s >= 0 for use in Quotas().read())
