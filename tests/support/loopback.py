"""Addresses of loopback that are several hosts as far as TCP goes, each test process its own."""

import os

from cluster.join.ports import Ports


def _address(host: int) -> str:
    """Return an address that no other process of this machine's tests takes."""
    number = (os.getpid() % 2**21) * 4 + host  # Linux answers on all of 127.0.0.0/8
    return f"127.{number >> 16}.{number >> 8 & 255}.{number & 255}"


HEAD, WORKER, THIRD = _address(1), _address(2), _address(3)
PORTS = Ports(head=26379, gate=26380, first=26400)
