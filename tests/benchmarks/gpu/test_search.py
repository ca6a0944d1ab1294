"""The lines of a measured search and of a validation: what is kept of a spoiled one."""

import sys

from benchmarks.gpu.search import events_in, run_to_end


def test_a_spoiled_line_loses_no_other_event() -> None:
    lines = [
        '{"event": "memory", "bytes": 1}',
        '{"event": "trial", (raylet) a warning',
        "{}",
        "[1]",
        "a word",
        '{"event": "finished", "headline": "fast"}',
    ]
    assert [event["event"] for event in events_in("\n".join(lines))] == ["memory", "finished"]


def test_a_command_that_takes_too_long_leaves_what_it_printed() -> None:
    program = "import sys, time; print('begun', flush=True); time.sleep(float(sys.argv[1]))"
    command = [sys.executable, "-c", program]
    late = run_to_end([*command, "60"], timeout_s=4.0)
    assert late == {"kind": "timeout", "exit_code": None, "output": ["begun"]}
    assert run_to_end([*command, "0"], timeout_s=60.0) == {"exit_code": 0, "output": ["begun"]}
