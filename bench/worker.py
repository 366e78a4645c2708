"""The worker program: reads jobs from standard input, and writes their results to standard output."""

import asyncio
import pickle
import sys
import traceback

import uvloop

from bench.measuring import Job, Measured

_JOB_SECONDS = 600


async def _done(job: Job) -> Measured:
    async with asyncio.timeout(_JOB_SECONDS):
        return await job.run()


def _work() -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        while True:
            try:
                job: Job = pickle.load(sys.stdin.buffer)
            except EOFError:
                return
            try:
                answer: Measured | str = runner.run(_done(job))
            except Exception as error:
                # Several tasks may have raised the same error.
                told = traceback.TracebackException.from_exception(error, max_group_width=1)
                answer = "".join(told.format())
            pickle.dump(answer, sys.stdout.buffer)
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    _work()
