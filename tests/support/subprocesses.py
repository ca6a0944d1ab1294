"""Programs that a test started and goes on beside."""

import subprocess


def ended_with_code(process: "subprocess.Popen[str]", code: int, *, timeout_s: float = 300) -> str:
    """Wait for its end, assert its exit code, and return what it said."""
    said, _ = process.communicate(timeout=timeout_s)
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
