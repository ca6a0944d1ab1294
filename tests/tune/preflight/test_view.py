"""The verdict as a person reads it."""

import io

import pytest

from cluster.node.container import Container
from machines import cpu_host, gpu_host, room_for, verdict
from tune.preflight import view as preflight_view
from tune.preflight.findings import Findings


def test_the_verdict_reads_as_a_sentence() -> None:
    assert preflight_view.meaning(verdict(cpu_host())) == (
        "Fit. Ray takes about 215 threads, a trial at most 32; pids cgroup /c is the tightest "
        "limit and has room for 10000. Each trial is a process of its own on CPUs 0-3."
    )


def test_every_limit_is_shown_and_the_binding_one_is_marked() -> None:
    container = Container(evidence=("/.dockerenv",), provider="Vast", gvisor=False)
    rows = preflight_view.sections(verdict(gpu_host(container=container)))
    assert rows["Limits on threads"] == [
        (
            "pids cgroup /c",
            "10010, 10 in use, room for 10000 threads, every thread of this container or service "
            "(cgroup v2) <- binds",
        )
    ]
    assert ("platform", "cuda, in a Vast container (/.dockerenv)") in rows["Machine"]
    assert ("GPU", "NVIDIA RTX 4000 Ada Generation (20.0 GiB, 130 W)") in rows["Machine"]
    assert ("JAX_PLATFORMS", "cuda,cpu") in rows["Environment of a trial"]


@pytest.mark.parametrize(
    ("findings", "words"),
    [
        (cpu_host(thread_limits=room_for(100)), {"thread cap": "4: CPUs 0-3", "PJRT_NPROC": "4"}),
        (cpu_host(thread_limits=room_for(40)), {"thread cap": "2: CPUs 0-1", "PJRT_NPROC": "2"}),
        (gpu_host(thread_limits=room_for(40)), {"JAX_PLATFORMS": "cuda,cpu", "PJRT_NPROC": "1"}),
        (cpu_host(thread_limits=room_for(20)), None),
        (cpu_host(), None),
    ],
)
def test_who_has_no_room_for_a_search_is_told_how_to_train(
    findings: Findings, words: dict[str, str] | None
) -> None:
    rows = preflight_view.sections(verdict(findings))
    alone = rows.get("A training without a search")
    assert (alone is None) == (words is None)
    assert (words or {}).items() <= dict(alone or []).items()
    assert alone is None or "Environment of a trial" not in rows


def test_a_terminal_gets_a_panel_with_the_same_words() -> None:
    from rich.console import Console

    console = Console(width=200, record=True, file=io.StringIO())
    console.print(preflight_view.render(verdict(cpu_host(thread_limits=room_for(90)))))
    assert "The smallest limit that would do is 258" in console.export_text()
