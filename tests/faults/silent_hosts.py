"""Hosts that accept a connection and say nothing: `python -m tests.faults.silent_hosts NUMBER` prints their ports."""

import signal
import socket
import sys
from contextlib import ExitStack


def main() -> int:
    with ExitStack() as stack:
        # Nobody has to accept: the kernel does, and what is sent to it waits.
        hosts = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(int(sys.argv[1]))]
        sys.stdout.write(" ".join(str(host.getsockname()[1]) for host in hosts) + "\n")
        sys.stdout.flush()
        signal.pause()
    return 0


if __name__ == "__main__":
    sys.exit(main())
