import os
import platform
import subprocess
import sys

import pytest

from xclip_stream.heap import KEEPING_HEAP

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only the GNU C library can be told")

PASS_WINDOWS = """
import io, resource, sys
from xclip_stream.heap import keep_heap

if sys.argv[1] == "keep":
    keep_heap()

def pass_one():
    buffer = io.BytesIO()
    for _ in range(20):
        buffer.write(bytes(65_536))
    buffer.seek(0)
    return len(buffer.read())

def page_faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

for _ in range(5):
    pass_one()
before = page_faults()
for _ in range(20):
    pass_one()
print(page_faults() - before)
"""


def page_faults(told: str, **environ: str) -> int:
    command = [sys.executable, "-c", PASS_WINDOWS, told]
    found = subprocess.run(command, check=True, capture_output=True, env={**os.environ, **environ})
    return int(found.stdout)


def test_a_process_that_keeps_its_heap_gets_no_pages_for_each_window() -> None:
    usual = page_faults("")

    assert page_faults("keep") < usual / 10


def test_the_environment_does_the_same_for_another_program() -> None:
    assert page_faults("", **KEEPING_HEAP) < page_faults("") / 10
