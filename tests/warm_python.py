"""A Python that has started already, for Ansible's tasks: most of a task's time is Python's start and its imports.

`interpreter()` is a program that Ansible starts in Python's place. It hands its input, output and environment to a
server that has imported what tasks import, and that forks for each of them. What then runs is what Ansible sent.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import shutil
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path

CLIENT = """#!{python} -IS
import os, socket, sys
from _json import encode_basestring_ascii as text
environment = ",".join(text(name) + ":" + text(value) for name, value in os.environ.items())
with socket.socket(socket.AF_UNIX) as server:
    server.connect("{address}")
    told = text(os.getcwd()) + ",[" + ",".join(map(text, sys.argv[1:])) + "],{{" + environment + "}}"
    socket.send_fds(server, [("[" + told + "]").encode()], [0, 1, 2])
    sys.exit(int(server.recv(4)))
"""


@functools.cache
def interpreter() -> str:
    """The path of the program; the server behind it ends with this process, whose pipe it reads."""
    folder = Path(tempfile.mkdtemp(prefix="warm"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    client, address = folder / "python", folder / "socket"
    client.write_text(CLIENT.format(python=sys.executable, address=address))
    client.chmod(0o755)
    command = [sys.executable, __file__, str(address)]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    atexit.register(server.kill)
    assert server.stdout is not None
    assert server.stdout.read(1), "the server for Ansible's tasks did not start"
    return str(client)


class Server(socketserver.ForkingMixIn, socketserver.UnixStreamServer):
    """Forks for each task, so that none sees what another one did."""


class Task(socketserver.BaseRequestHandler):
    """One start of the program: a child runs it, and the caller gets its exit code."""

    def handle(self) -> None:
        told, files, _, _ = socket.recv_fds(self.request, 1 << 17, 3)
        child = os.fork()
        if child:
            self.request.sendall(b"%d" % os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
            return
        for number, file in enumerate(files):
            os.dup2(file, number)
        folder, arguments, environment = json.loads(told)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv[:] = arguments or [""]
        code = 1
        try:
            source = Path(arguments[0]).read_text() if arguments else sys.stdin.read()
            exec(compile(source, sys.argv[0] or "<stdin>", "exec"), {"__name__": "__main__"})
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)


if __name__ == "__main__":
    from ansible.module_utils import basic, urls  # noqa: F401
    from ansible.module_utils._internal._ansiballz import _loader  # noqa: F401
    from ansible.modules import lineinfile, uri  # noqa: F401

    with Server(sys.argv[1], Task) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        os.write(1, b"\n")
        os.read(0, 1)  # nothing comes: until the pipe ends
