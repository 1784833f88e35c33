import subprocess
import sys
from pathlib import Path

import pytest

from xclip_stream.pipeline.process_names import is_known_dead, process_name

pytestmark = pytest.mark.skipif(not Path("/proc/self/ns/pid").exists(), reason="only Linux tells so much of processes")
SAY_NAME = "from xclip_stream.pipeline.process_names import process_name; print(process_name(), flush=True); input()"


def test_this_process_is_alive() -> None:
    assert not is_known_dead(process_name())
    assert not is_known_dead(process_name() + "/and more")


def test_a_process_is_dead_once_it_has_ended_even_before_anybody_noticed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SAY_NAME], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        name = other.stdout.readline().strip()
        before = is_known_dead(f"{name}/x")
        other.kill()
        waited_for = Path(f"/proc/{other.pid}/stat")
        while waited_for.read_text().rpartition(")")[2].split()[0] != "Z":
            pass
        as_zombie = is_known_dead(f"{name}/x")

    assert not before
    assert as_zombie
    assert is_known_dead(f"{name}/x")


def test_another_process_with_the_same_id_is_not_taken_for_it() -> None:
    name = process_name()

    assert is_known_dead(name[:-1] + ("1" if name[-1] != "1" else "2"))


@pytest.mark.parametrize("name", ["", "memory", "host-1", "host-999999@another-boot.4026531836:77", "host-x@:"])
def test_of_what_ran_elsewhere_or_has_another_name_nothing_is_known(name: str) -> None:
    assert not is_known_dead(name)
