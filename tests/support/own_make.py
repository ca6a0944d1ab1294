"""The environment of a make of its own, under whatever make runs the tests."""

import os
import re

from places import ROOT

_TAKEN = re.compile(r"^(?:ifndef (\w+)|(\w+) \?=)", re.MULTILINE)


def own_make_environ() -> dict[str, str]:
    """Return this process's environment without what a make above it would pass on.

    make exports the variables of its command line, as `make test EXTRA=cpu`, both by name and in
    MAKEFLAGS; the Makefile would take them for what the person of a test said.
    """
    taken = {name for names in _TAKEN.findall((ROOT / "Makefile").read_text()) for name in names}
    passed_on = taken | {"MAKEFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "MFLAGS"}
    return {name: value for name, value in os.environ.items() if name not in passed_on}
