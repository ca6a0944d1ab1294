"""Programs that a test started and goes on beside."""

import subprocess
import threading


def rest_of(process: "subprocess.Popen[str]", *, timeout_s: float = 300) -> str:
    """Return what is left of its output, and wait for its end; it is killed after `timeout_s`.

    `communicate` would lose what came along with the line that was read last.
    """
    assert process.stdout is not None
    too_late = threading.Timer(timeout_s, process.kill)
    too_late.start()
    with process.stdout:
        said = process.stdout.read()
    process.wait()
    too_late.cancel()
    return said


def ended_with_code(process: "subprocess.Popen[str]", code: int) -> str:
    """Wait for its end, assert its exit code, and return what it said."""
    said = rest_of(process)
    assert process.returncode == code, said
    return said


def read_until(process: "subprocess.Popen[str]", *texts: str) -> str:
    """Read its lines until each text was in one of them."""
    assert process.stdout is not None
    lines: list[str] = []
    missing = set(texts)
    for line in process.stdout:
        lines.append(line)
        missing -= {text for text in missing if text in line}
        if not missing:
            return "".join(lines)
    raise AssertionError(f"it ended without {missing}:\n{''.join(lines)}")
