"""hosts.toml: what may stand in it, and how a mistake is told."""

import dataclasses
import re
import tomllib
from pathlib import Path

import pytest

from cluster.errors import FleetError
from cluster.fleet import hosts
from cluster.fleet.__main__ import main
from cluster.fleet.hosts import Host

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
HOSTS = "[hosts.a]\naddress = 'x'"


def parse(text: str) -> tuple[Host, ...]:
    return hosts.parse(tomllib.loads(text), folder=Path("/fleet"))


def test_defaults_hold_for_all_hosts_and_a_host_may_differ() -> None:
    first, second = parse(
        f"""
        [defaults]
        user = "ubuntu"
        key = "keys/id"
        [hosts.one]
        address = "203.0.113.7"
        port = 40022
        host_key = "{KEY} comment"
        provider = "runpod"
        id = "pod1"
        stop_command = ["runpodctl", "stop", "pod", "pod1"]
        [hosts.two]
        address = "ssh5.vast.ai"
        user = "root"
        price_per_hour = 1
        """
    )
    assert first == Host(
        name="one",
        address="203.0.113.7",
        port=40022,
        user="ubuntu",
        key=Path("/fleet/keys/id"),
        host_key=KEY,
        provider="runpod",
        id="pod1",
        stop_command=("runpodctl", "stop", "pod", "pod1"),
    )
    assert (second.user, second.port, second.price_per_hour) == ("root", 22, 1)


@pytest.mark.parametrize(
    ("provider", "id_", "command"),
    [
        ("runpod", "pod1", "runpodctl remove pod pod1"),
        ("vast", "4711", "vastai destroy instance 4711"),
        ("runpod", None, "destroy box (1.2.3.4) in its provider's console"),
        ("other", "i-1", "destroy box (1.2.3.4) in its provider's console"),
    ],
)
def test_how_to_stop_paying_is_the_providers_own_command(
    provider: hosts.Provider, id_: str | None, command: str
) -> None:
    host = Host(name="box", address="1.2.3.4", provider=provider, id=id_)
    assert host.destroy_command == command


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('adress = "x"', r"host box: adress: unknown key; known are address, port,"),
        ('address = "-oProxyCommand=x"', "host box: address: has characters that do not belong"),
        ('address = "a b"', "host box: address: has characters"),
        ('address = ""', "host box: address: must be text"),
        (
            'address = "h"\nport = 0',
            "box: port: must be a whole number from 1 to 65535, got 0",
        ),
        ('address = "h"\nport = "22"', "host box: port: must be a whole number"),
        ('address = "h"\nuser = "-lroot"', "host box: user: has characters"),
        ('address = "h"\nfolder = "~"', "host box: folder: must name a folder of the fleet's own"),
        ('address = "h"\nfolder = "."', "host box: folder: must name"),
        ('address = "h"\nfolder = "/"', "host box: folder: must name"),
        ('address = "h"\nfolder = "a/../.."', "host box: folder: must name"),
        ('address = "h"\nfolder = "a\\nb"', "host box: folder: must be text without control"),
        ('address = "h"\npython = "python3"', "host box: python: must be an absolute path"),
        ('address = "h"\nhost_key = "AAAA"', "host box: host_key: must be a public key"),
        (
            'address = "h"\nprovider = "aws"',
            "box: provider: must be one of runpod, vast, other",
        ),
        ('address = "h"\nid = "x; rm"', "host box: id: has characters"),
        ('address = "h"\nprice_per_hour = -1', "host box: price_per_hour: must be US dollars"),
        ('address = "h"\nprice_per_hour = true', "host box: price_per_hour: must be US dollars"),
        ('address = "h"\nprice_per_hour = nan', "host box: price_per_hour: must be US dollars"),
        ('address = "h"\nstop_command = "rm"', "host box: stop_command: must be a list of words"),
        ('address = "h"\nstop_command = []', "host box: stop_command: must be a list of words"),
        ('address = "h"\nkey = ""', "host box: key: must be text without control"),
        ('address = "h"\nkey = 3', "host box: key: must be text without control"),
        ('address = "h"\nkey = "~no-user/x"', "box: key: ~no-user is no home folder on this mach"),
        ('address = "h"\nport = 3.5', "port: must be a whole number from 1 to 65535, got 3.5"),
        ('address = "h"\nname = "x"', "host box: name: unknown key"),
        ('address = "h"\nstop_command = ["a", 3]', "must be a list of words, .*got .'a', 3.*"),
        ("port = 22", "host box: address: missing"),
    ],
)
def test_mistake_is_named_with_its_host_and_key(line: str, message: str) -> None:
    with pytest.raises(FleetError, match=message):
        parse(f"[hosts.box]\n{line}\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"needs at least one table \[hosts.NAME\]"),
        ("[host.a]\naddress = 'x'", "unknown key 'host'"),
        ("[hosts.'a b']\naddress = 'x'", "host 'a b': a name is at most"),
        ("[hosts.'../x']\naddress = 'x'", "host '../x': a name is at most"),
        ("[hosts.'-x']\naddress = 'x'", "host '-x': a name is at most"),
        ("[hosts]\na = 1", "host a: must be a table"),
        ("[defaults]\naddress = 'x'\n[hosts.a]", "address belongs to one host"),
        ("[hosts.a]\naddress = 'x'\n[hosts.b]\naddress = 'x'", "another host has the same address"),
    ],
)
def test_mistake_of_the_whole_file_is_told(text: str, message: str) -> None:
    with pytest.raises(FleetError, match=message):
        parse(text)


@pytest.mark.parametrize(
    ("text", "words", "message"),
    [
        (None, ("status",), "hosts.example.toml, or name yours by --hosts"),
        ("[hosts.a", ("status",), "is not TOML"),
        (HOSTS, ("status", "--only", "b"), "has no host b; it has a."),
        (HOSTS, ("status", "--only", "b", "--only", "a"), "has no host b; it has a."),
        (HOSTS, ("status", "--price", "x", "--price", "a=1"), "--price takes CLASS=1.19"),
        (HOSTS, ("up", "--max-hours", "0"), "--max-hours must be positive"),
        (HOSTS, ("submit",), "submit needs the command behind --"),
        (HOSTS, ("submit", "--", "x", "--out=y"), "leave --out out"),
        (HOSTS, ("submit", "--", "x", "--json"), "leave --json out"),
        (HOSTS, ("submit", "--resume", "--", "x"), "has its command already"),
        (HOSTS, ("submit", "--split", "--resume"), "--split is for a new search"),
        (HOSTS, ("submit", "--split", "--", "x", "--known=y"), "leave --known out"),
        (HOSTS, ("submit", "--split", "--name", "x" * 74, "--", "x"), "of at most 73 characters"),
        (HOSTS, ("status", "--", "x"), "only submit takes a command"),
        (HOSTS, ("status", "--price", "x"), "--price takes CLASS=1.19"),
        (HOSTS, ("report",), "has no profile of the kind fastest"),
    ],
)
def test_users_mistake_is_one_sentence_and_exit_code_2(
    text: str | None,
    words: tuple[str, ...],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    if text is not None:
        Path("hosts.toml").write_text(text)
    assert main(words) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.startswith("error: ")
    assert told.count("\n") == 1


def test_example_is_valid() -> None:
    example = Path(hosts.__file__).parents[1] / "hosts.example.toml"
    assert {host.provider for host in hosts.read(example)} == {"runpod", "vast"}
    keys = re.findall(r"^(?:# )?(\w+) = ", example.read_text(), re.MULTILINE)
    own = {field.name for field in dataclasses.fields(hosts.Host)} - {"name"}
    assert set(keys) == own  # README calls them all
