"""Opens and closes sources again and again: `python -m tests.faults.reopening TIMES URL…` prints what it holds.

One line of JSON after each open: `[fds, threads, rss_bytes]`. A process of its own, so that nothing else grows in it.
What only waits for Python's collector, some MiB of a file that is not read to its end, is collected first.
"""

import gc
import json
import os
import sys
from contextlib import suppress
from itertools import cycle, islice

from tests.faults.processes import usage
from tests.videos import GEOMETRY
from xclip_stream.errors import SourceError
from xclip_stream.sources import open_source

FRAMES = 3


def main() -> int:
    times, *urls = sys.argv[1:]
    sources = [open_source(url, geometry=GEOMETRY, open_timeout_s=5.0, read_timeout_s=2.0) for url in urls]
    for source in islice(cycle(sources), int(times)):
        with suppress(SourceError), source:
            for frame in islice(source, FRAMES):
                frame.pictures()
        gc.collect()
        held = usage(os.getpid())
        sys.stdout.write(json.dumps([held.fds, held.threads, held.rss_bytes]) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
