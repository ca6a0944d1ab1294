"""Where things lie: tests sit at several depths, and start processes that must find them."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
SUPPORT = TESTS / "support"

PYTHONPATH = f"{ROOT}:{SUPPORT}"
"""For a child that imports the program and the workloads of `support`."""
