"""Reaching a host: another one behind the same address is no proof."""

import asyncio

from cluster.join import reach
from loopback import HEAD, PORTS, WORKER


def test_other_host_behind_the_same_address_is_no_proof() -> None:
    async def run() -> dict[int, str]:
        listening = await reach.listen(WORKER, [PORTS.first], "theirs")
        try:
            return await reach.dial(WORKER, [PORTS.first], source=HEAD, secret="ours")
        finally:
            listening.close()

    assert asyncio.run(run()) == {PORTS.first: "another program or host answers"}
