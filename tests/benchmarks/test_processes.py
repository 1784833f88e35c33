"""What processes have used, read from /proc while they live."""

import subprocess
import sys

from benchmarks.processes import use_by_role

RESTLESS = """
import faulthandler, sys
print("ready", flush=True)
while True:
    faulthandler.dump_traceback_later(60)  # a thread of its own
    faulthandler.cancel_dump_traceback_later()
"""
LOOKS = 500


def test_a_process_is_found_each_time_while_its_threads_come_and_go() -> None:
    command = [sys.executable, "-c", RESTLESS, "redis-server"]  # the name by which the role is told
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()

            seen = [use_by_role([process.pid], memory=False) for _ in range(LOOKS)]
        finally:
            process.kill()

    assert [sorted(roles) for roles in seen] == [["redis"]] * LOOKS
    assert seen[-1]["redis"].processes == 1
