"""For tests of what only runs on a processor with a matrix unit."""

import pytest

from xclip_stream.model.matrix_unit import matrix_unit_is_usable

needs_matrix_unit = pytest.mark.skipif(not matrix_unit_is_usable(), reason="the processor has no AMX")
