"""Finds the files of a checkpoint, in a local folder or on the Hugging Face hub. Imports no torch."""

import logging
import re
from dataclasses import dataclass
from pathlib import Path

from xclip_stream.errors import CheckpointError, HubUnreachable
from xclip_stream.paths import without_tilde

DEMO = "demo"
_PACKAGED = Path(__file__).parents[1] / "demo" / "checkpoint"
PINNED = {
    "microsoft/xclip-base-patch32": "a2e27a78a2b5d802e894b8a1ef14f3a8ce490963",
    "microsoft/xclip-base-patch16": "d6184e3fd8780d04c85d0f1eabe5f94bf44d98f6",
    "microsoft/xclip-large-patch14": "a9dd1429a16cf305df2aaea232d5e8dceba1c675",
}
"""The commits of published checkpoints that are taken where no revision is given, so that none changes unnoticed."""
_COMMIT = re.compile(r"[0-9a-f]{40}")
_ASK_S = 10.0
_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where the files of a checkpoint are: a local folder, or one commit of a repository on the hub."""

    name: str
    folder: Path | None = None
    revision: str | None = None

    def find(self, *names: str) -> Path | None:
        """Return the first of `names` that exists as a local path, fetched from the hub if need be, else None."""
        if self.folder is not None:
            return next((self.folder / name for name in names if (self.folder / name).is_file()), None)
        return _fetch_first(self.name, self.revision, names)

    def require(self, *names: str) -> Path:
        """Like `find`, but CheckpointError names the checkpoint and the file where none exists."""
        path = self.find(*names)
        if path is None:
            raise CheckpointError(f"{self.folder or self.name}: holds no {' or '.join(names)}")
        return path


def resolve_checkpoint(name: str | Path) -> str | Path:
    """Return what a name of a configuration stands for: `demo` for the packaged folder, all else for itself."""
    return _PACKAGED if name == DEMO else name


def local_path(checkpoint: str | Path) -> Path:
    """Return the path of this name, `~` replaced; CheckpointError where there is no such home folder."""
    try:
        return without_tilde(checkpoint)
    except ValueError as error:
        raise CheckpointError(f"{checkpoint}: {error}") from None


def open_checkpoint(checkpoint: str | Path, *, revision: str | None = None) -> Checkpoint:
    """Find a checkpoint by local folder, hub id (`owner/name`) or `demo`, the one in this package.

    On the hub `config.json` is fetched at once and fixes the commit, so that a branch which moves meanwhile cannot mix
    two versions; a full commit that is already in the cache needs no network. Without a `revision` the commit in
    `PINNED` is taken, where there is one, else the branch `main`. For a local folder `revision` means nothing.

    Raises CheckpointError, in one line, for whatever is not a checkpoint.
    """
    checkpoint = resolve_checkpoint(checkpoint)
    if "://" in str(checkpoint):  # not shown: it may hold a password
        raise CheckpointError(
            "a URL is no checkpoint; give a local folder or a hub id such as microsoft/xclip-base-patch32"
        )
    folder = local_path(checkpoint)
    if folder.is_dir():
        return Checkpoint(name=DEMO if folder == _PACKAGED else folder.resolve().name, folder=folder)
    if folder.exists():
        raise CheckpointError(
            f"{checkpoint}: is a file, not a checkpoint folder; read it with XCLIPModel.from_pretrained, save it into "
            "a folder with save_pretrained, and put the tokenizer's and the processor's files beside it"
        )
    if not isinstance(checkpoint, str) or not _HUB_ID.fullmatch(checkpoint):
        raise CheckpointError(f"{checkpoint}: no such folder, nor is it a hub id such as microsoft/xclip-base-patch32")
    config = _fetch_first(checkpoint, revision or PINNED.get(checkpoint), ["config.json"])
    if config is None:
        raise CheckpointError(f"{checkpoint}: is not a model checkpoint, its repository has no config.json")
    return Checkpoint(name=checkpoint, revision=config.parent.name)


def is_hub_id(checkpoint: str) -> bool:
    """Tell whether this names a repository on the hub, and no folder here."""
    return _HUB_ID.fullmatch(checkpoint) is not None and not Path(checkpoint).is_dir()


def is_at_hand(checkpoint: str | Path, *, revision: str | None = None) -> bool:
    """Tell whether a checkpoint can be opened without asking anybody: a folder, or a commit that is in the cache."""
    checkpoint = resolve_checkpoint(checkpoint)
    if local_path(checkpoint).is_dir():
        return True
    commit = revision or PINNED.get(str(checkpoint), "")
    if not _COMMIT.fullmatch(commit) or not _HUB_ID.fullmatch(str(checkpoint)):
        return False
    from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415  # as below

    return isinstance(try_to_load_from_cache(str(checkpoint), "config.json", revision=commit), str)


def ask_hub(repository: str, *, revision: str | None = None) -> None:
    """Look whether the hub can be reached, with one request: `open_checkpoint` tries for half a minute.

    Raises:
        CheckpointError: it cannot, and the cache does not have the checkpoint either.
    """
    import huggingface_hub as hub  # noqa: PLC0415  # as below
    from huggingface_hub.errors import HfHubHTTPError  # noqa: PLC0415  # as below

    commit = revision or PINNED.get(repository)
    try:
        hub.get_hf_file_metadata(hub.hf_hub_url(repository, "config.json", revision=commit), timeout=_ASK_S)
    except HfHubHTTPError:
        return  # it answers
    except (ValueError, *HfHubHTTPError.__bases__):
        if not isinstance(hub.try_to_load_from_cache(repository, "config.json", revision=commit), str):
            raise HubUnreachable(_unreachable(repository, "config.json")) from None


def _unreachable(repository: str, name: str) -> str:
    return (
        f"{repository}: the hub cannot be reached and {name} is not in the cache; check the network and HF_ENDPOINT, "
        "or give a local folder"
    )


def _fetch_first(repository: str, revision: str | None, names: tuple[str, ...] | list[str]) -> Path | None:
    """The first of `names` that the repository has. Without the hub, the first that the cache has."""
    unreachable: HubUnreachable | None = None
    for name in names:
        try:
            if (path := _fetch(repository, revision, name)) is not None:
                return path
        except HubUnreachable as error:
            unreachable = error
    if unreachable is not None:
        raise unreachable
    return None


def _fetch(repository: str, revision: str | None, name: str) -> Path | None:
    """Fetch one file into the cache; None if the repository does not have it.

    The hub's own messages run over many lines and are not passed on.
    """
    import huggingface_hub.errors as hub  # noqa: PLC0415  # a local folder, the usual case of a reader, needs no hub

    try:
        return Path(_download(repository, name, revision))
    except hub.LocalEntryNotFoundError:
        if _known_absent(repository, revision, name):
            return None
        raise HubUnreachable(_unreachable(repository, name)) from None
    except hub.EntryNotFoundError:
        return None
    except hub.GatedRepoError:
        raise CheckpointError(f"{repository}: needs its owner's consent on the hub, and a token in HF_TOKEN") from None
    except hub.RepositoryNotFoundError:
        raise CheckpointError(
            f"{repository}: no such folder, and no such repository on the hub; if it is private, set HF_TOKEN"
        ) from None
    except hub.RevisionNotFoundError:
        raise CheckpointError(f"{repository}: has no revision {revision!r} on the hub") from None
    except hub.HfHubHTTPError as error:
        raise CheckpointError(
            f"{repository}: the hub answers {error.response.status_code} for {name}; check the token in HF_TOKEN"
        ) from None
    except (ValueError, *hub.HfHubHTTPError.__bases__) as error:  # its bases: OSError and the HTTP library's own root
        raise CheckpointError(f"{repository}: {name} cannot be fetched from the hub ({type(error).__name__})") from None


def _download(repository: str, name: str, revision: str | None) -> str:
    from huggingface_hub import hf_hub_download  # noqa: PLC0415  # as above

    log = logging.getLogger("huggingface_hub")
    level = log.level
    log.setLevel(logging.ERROR)  # its warnings of each try would stand in front of the one line that says what to do
    try:
        path: str = hf_hub_download(repository, name, revision=revision)
    finally:
        log.setLevel(level)
    return path


def _known_absent(repository: str, revision: str | None, name: str) -> bool:
    """Whether the cache remembers that the hub once said that there is no such file."""
    from huggingface_hub import _CACHED_NO_EXIST, try_to_load_from_cache  # noqa: PLC0415  # as above

    return try_to_load_from_cache(repository, name, revision=revision) is _CACHED_NO_EXIST
