import subprocess
import sys

IMPORTED_IN_VAIN = """
import importlib, sys
from workers.ingest import PRELOAD
needed = {name for name in sys.modules if name.partition(".")[0] != "workers"}
code = "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]; print(*sys.modules)"
import subprocess
shared = subprocess.run([sys.executable, "-c", code, *PRELOAD], capture_output=True, text=True, check=True).stdout
print(*sorted(needed - set(shared.split())))
"""


def test_a_reader_imports_nothing_that_all_of_them_could_share() -> None:
    found = subprocess.run([sys.executable, "-c", IMPORTED_IN_VAIN], capture_output=True, text=True, check=True)

    assert found.stdout.split() == []
