"""Runs commands in children of one process that has imported everything, and ends some of them by force.

Called as a program, with a job on every line of its standard input:
    {"arguments": […], "out": FOLDER, "kill_at": N, "kill_after": SECONDS, "largest": BYTES}
where the last three may be missing: kill at the Nth time that something in the folder is opened for writing,
moved or removed; kill so many seconds after the start; let no file grow beyond so many bytes, as on a disk
that is full. Answers each with a line {"code": exit status, "touched": N, "errors": standard error}.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path

TOUCHING = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"}


@contextmanager
def children(environment):
    """Yield a function that does a job and returns the answer."""
    command = [sys.executable, __file__]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
    ) as parent:

        def run(**job):
            parent.stdin.write(json.dumps(job) + "\n")
            parent.stdin.flush()
            return json.loads(parent.stdout.readline())

        yield run
        parent.stdin.close()  # which ends it


def _work(job, errors, counter):
    count = 0

    def hook(event, arguments):
        nonlocal count
        writes = (
            event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        )
        if (writes or event in TOUCHING) and str(arguments[0]).startswith(job["out"]):
            count += 1
            if count == job.get("kill_at"):
                os.kill(os.getpid(), signal.SIGKILL)

    os.dup2(errors, 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.addaudithook(hook)
    if "kill_after" in job:
        threading.Timer(job["kill_after"], os.kill, (os.getpid(), signal.SIGKILL)).start()
    if "largest" in job:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (job["largest"], job["largest"]))
    from diffusion2.cli import main

    code = main(job["arguments"])
    os.write(counter, str(count).encode())
    os._exit(code)


def _run(job):
    reader, writer = os.pipe()
    with tempfile.TemporaryFile() as errors:
        child = os.fork()
        if child == 0:
            try:
                _work(job, errors.fileno(), writer)
            finally:
                os._exit(99)
        os.close(writer)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        touched = int(os.read(reader, 100) or 0)
        os.close(reader)
        errors.seek(0)
        return {"code": code, "touched": touched, "errors": errors.read().decode()}


if __name__ == "__main__":
    sys.path.pop(0)  # this folder
    sys.path.insert(0, str(Path(__file__).parents[2] / "src"))
    import av  # noqa: F401
    import viser  # noqa: F401

    import diffusion2.cli
    import diffusion2.commands.run
    import diffusion2.pipeline
    import diffusion2.priors.mini  # noqa: F401

    for line in sys.stdin:
        print(json.dumps(_run(json.loads(line))), flush=True)
