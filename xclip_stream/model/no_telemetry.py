"""Import this before OpenVINO and NNCF: else they tell their makers over the network about each use.

Both do without where the package that would tell is missing; so it is made to be missing.
"""

import sys

sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # an import raises ImportError
