"""What can be told before anything is started: files that are no video, and a checkpoint that cannot be had."""

import sys

from xclip_stream.config import Config, SourceConfig, check_geometry
from xclip_stream.errors import SourceError, SourceRejected
from xclip_stream.model.checkpoint_files import clip_geometry, fetch_weights
from xclip_stream.model.locate import ask_hub, is_at_hand, is_hub_id
from xclip_stream.types import ClipGeometry


def check_files(config: Config) -> None:
    """Look whether there is anything to watch: a camera, which may come later, or a file that opens.

    Raises:
        SourceError: every source is a file, and none of them can be read; a line for each.
    """
    problems = []
    for source in config.sources:
        problem = None if source.live else _problem_of(source)
        if problem is None:
            return
        problems.append(f"source {source.id}: {problem}")
    raise SourceError("\n".join(problems))


def bring_checkpoint(config: Config) -> None:
    """Find the checkpoint and check the windows against it; fetch it where it is not on this machine.

    Raises:
        CheckpointError: it cannot be had.
        ConfigError: a stride does not fit its frames.
    """
    checkpoint, revision = config.model.checkpoint, config.model.revision
    if is_hub_id(checkpoint) and not is_at_hand(checkpoint, revision=revision):
        sys.stderr.write(f"{checkpoint}: asking the Hugging Face hub\n")
        ask_hub(checkpoint, revision=revision)
    check_geometry(config, clip_geometry(checkpoint, revision=revision).num_frames)
    fetch_weights(checkpoint, revision=revision)


def _problem_of(source: SourceConfig) -> str | None:
    from xclip_stream.sources.open import open_source  # noqa: PLC0415  # cameras alone need no PyAV here

    try:
        with open_source(source.url.get_secret_value(), geometry=ClipGeometry(num_frames=1, image_px=1)):
            return None
    except SourceRejected as error:
        return str(error)
