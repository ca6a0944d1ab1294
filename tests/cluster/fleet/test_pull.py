"""A pull brings what changed, whole, and writes nowhere else."""

import io
import json
import tarfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from box_jobs import job_files, stream_of
from cluster.box import bundle
from cluster.fleet import pull
from cluster.fleet.hosts import Host
from cluster.fleet.ssh import HostError


class FakeRemote:
    """A box whose stream is given."""

    def __init__(self, stream: bytes) -> None:
        self.host = Host(name="box", address="x")
        self.stream = stream
        self.asked: Mapping[str, tuple[int, int]] = {}

    def pull(self, have: Mapping[str, tuple[int, int]], consume: Callable[[Any], None]) -> None:
        self.asked = have
        consume(io.BytesIO(self.stream))


def test_pull_brings_the_results_and_then_only_what_changed(tmp_path: Path) -> None:
    source, out = job_files(tmp_path), tmp_path / "out"
    remote = FakeRemote(stream_of(source, {}))
    pulled = pull.pull(remote, out)  # type: ignore[arg-type]
    names = {path.relative_to(out).as_posix() for path in out.glob("**/*") if path.is_file()}
    wanted = {"job.json", "log.txt", "profiles/p.yaml", "run/journal.log", "run/trials/000.log"}
    assert names == {f"box/j1/{name}" for name in wanted}
    assert pulled.profiles == (out / "box/j1/profiles/p.yaml",)

    (source / "j1" / "run" / "journal.log").write_text("longer" * 1000)
    pull.pull(remote, out)  # type: ignore[arg-type]
    again = FakeRemote(stream_of(source, remote.asked))
    assert pull.pull(again, out).num_files == 1  # type: ignore[arg-type]
    assert (out / "box/j1/run/journal.log").read_text() == "longer" * 1000


def test_pull_that_breaks_leaves_whole_files_and_goes_on(tmp_path: Path) -> None:
    source, out = job_files(tmp_path), tmp_path / "out"
    whole = stream_of(source, {})
    for cut in range(0, len(whole), 700):
        pull.pull(FakeRemote(whole[:cut]), out)  # type: ignore[arg-type]
        for path in out.glob("box/**/*"):
            if path.is_file():
                original = source / path.relative_to(out / "box")
                assert path.read_bytes() == original.read_bytes(), cut
    pull.pull(FakeRemote(whole), out)  # type: ignore[arg-type]
    assert not list(out.glob("**/.*"))


@pytest.mark.parametrize(
    ("ids", "kept"),
    [
        (("1f", "2f"), ["j1", "j1.1"]),  # of a box that was rented anew, and a --name given again
        (("1f", "2f", "3f"), ["j1", "j1.1", "j1.2"]),
        (("1f", "1f"), ["j1"]),  # resumed
        ((None, "2f"), ["j1", "j1.1"]),  # the first was begun by an earlier version
    ],
)
def test_search_of_a_name_that_was_here_before_takes_nothing_from_it(
    ids: Sequence[str | None], kept: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    for place, identity in enumerate(ids):
        source = job_files(tmp_path / str(place))
        (source / "j1" / "job.json").write_text(json.dumps({"words": None, "id": identity}))
        (source / "j1" / f"only-in-{identity}").touch()
        pulled = pull.pull(FakeRemote(stream_of(source, {})), out)  # type: ignore[arg-type]
    assert sorted(path.name for path in (out / "box").iterdir()) == kept
    found = [sorted(path.name for path in (out / "box" / one).glob("only-in-*")) for one in kept]
    newest = [f"only-in-{ids[-1]}"]
    assert found[0] == (newest if len(kept) > 1 else sorted({f"only-in-{one}" for one in ids}))
    assert found[1:] == [[f"only-in-{one}"] for one in ids[: len(kept) - 1]]
    told = f"j1 is another search than before, which is in {out / 'box' / kept[-1]}"
    assert pulled.warnings == [told] * (len(kept) > 1)


def member(name: str, **fields: Any) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.pax_headers = {bundle.MTIME_NS: "1"}
    for field, value in fields.items():
        setattr(made, field, value)
    return made


@pytest.mark.parametrize(
    "hostile",
    [
        member("../../escaped"),
        member("/tmp/escaped"),
        member("j1/../../escaped"),
        member("j1/../../made/escaped"),
        member("escaped"),
        member("j1/link", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        member("j1/link", type=tarfile.LNKTYPE, linkname="/etc/passwd"),
        member("j1/fifo", type=tarfile.FIFOTYPE),
        member("j1/there/escaped"),
        member("j1/no-time", pax_headers={}),
        member("j1/no-number", pax_headers={bundle.MTIME_NS: "soon"}),
        member("j1/no-end", pax_headers={bundle.MTIME_NS: "9" * 30}),
        member("j1/n", pax_headers={bundle.MTIME_NS: "1", "path": "j1/\0"}),
    ],
    ids=lambda made: made.name,
)
def test_box_decides_nothing_about_where_its_files_land(
    hostile: tarfile.TarInfo, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (out / "box" / "j1").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (out / "box" / "j1" / "there").symlink_to(tmp_path / "elsewhere")
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(hostile)
    with pytest.raises(HostError, match=r"box: sent .*: pull stopped"):
        pull.pull(FakeRemote(stream.getvalue()), out)  # type: ignore[arg-type]
    assert not list(tmp_path.glob("**/escaped"))
    assert not (tmp_path / "made").exists()


def test_large_file_and_what_a_command_writes_for_itself_stay_on_the_box(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = job_files(tmp_path), tmp_path / "out"
    monkeypatch.setattr(bundle, "LARGEST_BYTES", 2000)
    (source / "j1" / "run" / "job.json").write_text("[1]")  # a person's, and none of ours
    for name in ("run/a.ckpt", "run/trials/outputs/trial-7/b.ckpt", "run/l4/ray/c"):
        path = source / "j1" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 2001)
    remote = FakeRemote(stream_of(source, {}))
    pulled = pull.pull(remote, out)
    assert pulled.too_large == ("j1/run/a.ckpt",)
    assert "; j1/run/a.ckpt stays on the box: larger than 256 MiB" in str(pulled)
    assert (out / "box/j1/log.txt").exists()
    assert (out / "box/j1/run/job.json").read_text() == "[1]"
    assert not list(out.glob("**/*.ckpt"))
    assert not (out / "box/j1/run/l4").exists()
    pull.pull(remote, out)
    (source / "j1" / "run" / "a.ckpt").write_bytes(b"x" * 3000)
    again = pull.pull(FakeRemote(stream_of(source, remote.asked)), out)
    assert (again.num_files, again.too_large) == (0, ())


def test_names_that_a_box_tells_are_few_and_printable() -> None:
    names = ("j/\x1b[2Jx", *(f"j/{number}" for number in range(9)))
    pulled = pull.Pulled(folder=Path("o"), num_files=1, profiles=(), too_large=names)
    [warning] = pulled.warnings
    assert warning.startswith("'j/\\x1b[2Jx', j/0, j/1, 7 more (too_large.txt) stay on the box")
