"""``lightseq`` out of a process that has imported all it needs: it starts, and ends, in a fraction of the time."""

import gc
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path

SECONDS = 300
"""After which a command that hangs is ended."""


class Nursery:
    """Starts commands by forking a process that is ready for them.

    Args:
        environment: Beside this process's own; that of torch has to be known before it is imported.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._ended = [0]  # what the process started last ended with
        self.process = subprocess.Popen(
            [sys.executable, __file__],
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,  # a line that is read ahead would not be waited for
        )
        assert self.process.stdout is not None
        self.process.stdout.readline()

    def start(
        self, words: list[str], folder: Path, environment: Mapping[str, str], output: Path
    ) -> tuple[int, Callable[[], int | None]]:
        """A process in a session of its own, and what tells its exit status once it has ended, below 0 by a signal."""
        orders, answers = self.process.stdin, self.process.stdout
        assert orders is not None
        assert answers is not None
        assert self._ended, "one at a time"
        order = {"words": words, "folder": str(folder), "environment": environment, "output": str(output)}
        orders.write(json.dumps(order).encode() + b"\n")
        pid = int(answers.readline())
        self._ended = ended = list[int]()

        def poll() -> int | None:
            if not ended and select.select([answers], [], [], 0)[0]:
                ended.append(int(answers.readline()))
            return ended[0] if ended else None

        return pid, poll

    def close(self) -> None:
        """No more orders."""
        self.process.communicate()


def serve() -> None:
    """An order a line, in JSON; the answers are two lines each, the process and the status that it ended with."""
    for name in ("lightseq.commands.train", "tensorboard.backend.event_processing.event_accumulator", "torch._dynamo"):
        import_module(name)
    from lightseq import cli

    gc.freeze()  # what has been imported need not be taken apart at the end of each
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if not child:
            os.setsid()
            print(os.getpid(), flush=True)
            signal.alarm(SECONDS)
            os.chdir(order["folder"])
            os.environ.update(order["environment"])
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            output = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(output, 1)
            os.dup2(output, 2)
            sys.argv = [__file__, *order["words"]]  # by which a second rank is started
            sys.exit(cli.main())
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    if sys.argv[1:]:
        from lightseq.cli import main

        sys.exit(main())
    serve()
