"""The commands that services are started with, tried in this process."""

import io
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr
from unittest.mock import patch

import pytest

from xclip_stream.cli import main


def complaint_of(words: Sequence[str]) -> str:
    """Return what the program says to a command whose configuration is not there; it has to understand all else."""
    errors = io.StringIO()
    with patch.object(sys, "argv", list(words)), redirect_stderr(errors), pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2, errors.getvalue()
    return errors.getvalue()
