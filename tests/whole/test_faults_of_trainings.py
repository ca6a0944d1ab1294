"""Faults of a training through the real command line: done, said, left behind.

What is printed has no traceback and nothing that a terminal obeys; no process and no temporary file
is left (see the fixture `place`); there is a profile, or a sentence.
"""

import dataclasses
import itertools

import pytest

from fault_place import Place, assert_clean
from tune.profile import file as profile_file

pytestmark = [pytest.mark.slow, pytest.mark.seconds(500), pytest.mark.timeout(600)]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A fault of the training: its options, the exit code, what is said and what was run."""

    options: str
    code: int = 0
    says: str = ""
    kinds: str = ""
    more: tuple[str, ...] = ()


CHILDREN = {
    "aborts": Row(options="fault=abort when=16", says="SIGABRT", kinds="error"),
    "segfaults": Row(options="fault=segfault when=16", says="SIGSEGV", kinds="error"),
    "stops": Row(options="fault=stop when=16", kinds="timeout", more=("--trial-timeout", "12s")),
    "hangs": Row(options="fault=hang when=16", kinds="timeout", more=("--trial-timeout", "12s")),
    "floods stderr": Row(
        options="fault=flood when=16", kinds="timeout", more=("--trial-timeout", "12s")
    ),
    "writes garbage on the wire": Row(
        options="fault=garbage when=16", says="garbage on its wire", kinds="error"
    ),
    "exits 0 at once": Row(
        options="fault=exit when=16", says="exited with status 0", kinds="error"
    ),
    "closes all descriptors": Row(options="fault=close-all when=16", kinds="error"),
    "removes its log": Row(options="fault=remove-logs", kinds="completed"),
    "leaves a child": Row(options="fault=child", kinds="completed"),
    "leaves a daemon": Row(options="fault=daemon", kinds="completed"),
    "raises what cannot be printed": Row(
        options="fault=unprintable when=16", says="\\x1b[31m red", kinds="error"
    ),
    "is near its timeout": Row(
        # Its third update, after two to warm up, ends in time; a fourth would not.
        options="update_s=10 when=16",
        kinds="completed",
        more=("--trial-timeout", "40s"),
    ),
    "has NaN": Row(options="health=nan", code=1, says="loss is nan"),
    "has no steps": Row(options="steps=0", code=1, says="a whole number of at least 1, got 0"),
    "has negative steps": Row(options="steps=-100", code=1, says="at least 1, got -100"),
    "has half a step": Row(options="steps=100.5", code=1, says="at least 1, got 100.5"),
    "has 100,000 metrics": Row(options="health=many", code=1, says="100,000 metrics"),
    "has a metric of 2 MB": Row(options="health=long", code=1, says="no printable word"),
    "has a text as metric": Row(options="health=text", code=1, says="loss = 'abc'"),
    "has a metric named 1": Row(options="health=numbered", code=1, says="has the name 1"),
    "has a surrogate": Row(options="health=surrogate", code=1, says="\\udcff<script>"),
    "has no mapping": Row(options="health=nothing", code=1, says="got NoneType"),
    "kills its worker": Row(
        options="fault=kill-worker", code=1, says="No trial could run", kinds="node_lost"
    ),
}


@pytest.mark.parametrize("name", CHILDREN)
def test_a_training_that(name: str, place: Place) -> None:
    row = CHILDREN[name]
    options = [word.replace("-", " ") if "fault" in word else word for word in row.options.split()]
    given = itertools.chain.from_iterable(("--option", word) for word in options)
    code, said = place.search(*given, *row.more)
    assert code == row.code, said
    assert_clean(said)
    assert row.says in said
    if row.code == 0:
        kinds = place.kinds()
        assert kinds[0] == "baseline completed"
        assert kinds[1].split()[1] == row.kinds
        assert kinds[-1] == "final completed"
        place.profile()
        if row.kinds != "completed":
            assert profile_file.read(place.profile()).config["num_envs"] == 8
    else:
        assert not (place.folder / "profiles").exists()
    logs = (place.folder / "out" / "trials").glob("*.log")
    assert max((log.stat().st_size for log in logs), default=0) < 20 * 2**20


def test_a_training_that_someone_kills_is_run_again(place: Place) -> None:
    code, said = place.search(
        "--option", "fault=die once", "--option", "when=16", "--option", f"mark={place.folder}/mark"
    )
    assert (code, place.kinds()[1:3]) == (0, ["ramp node_lost", "ramp completed"]), said
    assert_clean(said)


def test_a_training_that_dies_so_each_time_costs_no_result(place: Place) -> None:
    code, said = place.search("--option", "fault=daemon and die", "--option", "when=16")
    assert code == 0, said
    assert_clean(said)
    assert place.kinds() == [
        "baseline completed",
        *["ramp node_lost"] * 2,
        "final completed",
    ]
    assert "16 could not be measured, because something on this machine ended its processes" in said


def test_a_training_that_eats_the_memory_is_ended_at_the_budget(place: Place) -> None:
    code, said = place.search(
        *("--option", "fault=eat memory", "--option", "when=16"), *("--memory-budget", "400MB")
    )
    assert code == 0, said
    assert_clean(said)
    assert "host_memory" in place.kinds()[1], said
