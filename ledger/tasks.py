"""Tasks of an event loop."""

import asyncio


async def end(task: "asyncio.Task[None]") -> None:
    """Cancel a task, and wait until it has ended. Raises the error that it ended with."""
    task.cancel()
    await asyncio.wait([task])  # `await task` could not tell its cancellation from the caller's
    if not task.cancelled():
        task.result()
