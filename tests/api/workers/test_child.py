"""Starting, watching and stopping a child process."""

import asyncio
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from asset_ledger.api.workers.child import Child, server_has_died

ROOT: Final = Path(__file__).parents[3]
ENVIRONMENT: Final = {**os.environ, "PYTHONPATH": str(ROOT), "GIVEN": "given"}
MODULE: Final = "tests.api.workers.children"
PATIENCE: Final = 60.0
"""Seconds after which something hangs. Nothing here is a matter of speed."""

SERVER: Final = """
import asyncio
from tests.api.workers.test_child import start

async def main():
    child = await start("hang")
    child.stdin.write(b"never read")
    await child.stdout.readline()
    print(child.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""
"""A server whose child hangs with unread bytes in its pipe."""


async def start(program: str, *arguments: str, **options: Any) -> Child:
    return await Child.start(
        MODULE, program, *arguments, pipes=True, environment=ENVIRONMENT, **options
    )


async def hanging() -> Child:
    child = await start("hang")
    assert await child.stdout.readline() == b"started\n"
    return child


def children() -> set[str]:
    """Return the pids of child processes that this process has not waited for."""
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text("ascii").split())


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_child_gets_its_arguments_environment_descriptors_and_pipes() -> None:
    reading, writing = os.pipe()
    async with await start("echo", str(writing), "argument", descriptors=[writing]) as child:
        os.close(writing)
        child.stdin.write(b"sent\n")

        assert await child.stdout.read() == b"sent argument given\n"
        assert await child.wait() == 0
    with os.fdopen(reading) as passed:
        assert passed.read() == "passed"


async def test_child_without_pipes_has_none() -> None:
    async with await Child.start("this") as child:
        with pytest.raises(RuntimeError, match="without pipes"):
            _ = child.stdout


async def test_child_of_an_unknown_module_ends_with_an_exit_code() -> None:
    child = await Child.start("no.such.module")

    assert await child.wait() == 1


async def test_stop_waits_for_a_child_that_exits() -> None:
    child = await start("leave")
    child.stdin.close()

    assert await child.stop(PATIENCE)
    assert await child.wait() == 3


async def test_stop_kills_a_child_that_does_not_exit_in_time() -> None:
    child = await hanging()

    assert not await child.stop(0.01)
    assert await child.wait() == -signal.SIGKILL


async def test_cancelled_stop_kills_the_child() -> None:
    child = await hanging()
    stopping = asyncio.create_task(child.stop(PATIENCE))
    await asyncio.sleep(0)
    stopping.cancel()

    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert not is_running(child.pid)


async def test_leaving_the_block_kills_the_child_and_kill_can_be_repeated() -> None:
    async with await hanging() as child:
        pass

    await child.kill()
    assert await child.wait() == -signal.SIGKILL


async def test_child_does_not_receive_a_ctrl_c_of_the_server() -> None:
    async with await hanging() as child:
        assert os.getpgid(child.pid) != os.getpgid(0)


def test_child_exits_when_its_server_is_killed_with_its_pipe_unread() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], env=ENVIRONMENT, stdout=subprocess.PIPE, cwd=ROOT
    ) as server:
        assert server.stdout is not None
        child = os.pidfd_open(int(server.stdout.readline()))
        assert not _has_ended(child, 0)
        server.kill()

    assert _has_ended(child, PATIENCE)
    os.close(child)


def _has_ended(pidfd: int, seconds: float) -> bool:
    return bool(select.select([pidfd], [], [], seconds)[0])


def a_pipe() -> tuple[int, int]:
    return os.pipe()


def a_socketpair() -> tuple[int, int]:
    first, second = socket.socketpair()
    return first.detach(), second.detach()


@pytest.mark.parametrize("connected", [a_pipe, a_socketpair])
def test_server_has_died_only_when_the_other_end_is_closed(
    connected: Callable[[], tuple[int, int]],
) -> None:
    ours, of_the_server = connected()
    os.write(of_the_server, b"unread")

    assert not server_has_died(ours)
    os.close(of_the_server)
    assert server_has_died(ours)
    os.close(ours)


async def test_cancelled_start_leaves_no_child() -> None:
    before = children()
    starting = asyncio.create_task(start("hang"))
    await asyncio.sleep(0)
    starting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await starting
    async with asyncio.timeout(PATIENCE):
        while children() - before:
            await asyncio.to_thread(os.sched_yield)


async def test_give_way_lowers_priority_and_confine_limits_memory() -> None:
    async with await start("limited") as child:
        assert await child.stdout.read() == b"refused %d\n" % min(os.nice(0) + 7, 19)
