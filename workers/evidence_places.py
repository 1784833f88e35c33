"""Opens where evidence is kept, to write it and to show it."""

from xclip_stream.config import EvidenceConfig
from xclip_stream.protocols import EvidenceReader, EvidenceStore
from xclip_stream.storage import LocalStore, open_bucket, open_bucket_reader


def open_store(config: EvidenceConfig) -> EvidenceStore:
    """Return where evidence is kept.

    Raises:
        ConfigError: the bucket needs a package that is not installed.
    """
    if config.url is None:
        return LocalStore(config.dir)
    access_key, secret_key = _keys(config)
    return open_bucket(
        config.url, spool=config.dir, endpoint_url=config.endpoint_url, access_key=access_key, secret_key=secret_key
    )


def open_reader(config: EvidenceConfig | None) -> EvidenceReader | None:
    """Return what reads the bucket of the evidence; None where it is in a folder, or none is kept.

    Raises:
        ConfigError: the bucket needs a package that is not installed.
    """
    if config is None or config.url is None:
        return None
    access_key, secret_key = _keys(config)
    return open_bucket_reader(
        config.url, endpoint_url=config.endpoint_url, access_key=access_key, secret_key=secret_key
    )


def _keys(config: EvidenceConfig) -> tuple[str | None, str | None]:
    access_key, secret_key = (
        None if key is None else key.get_secret_value() for key in (config.access_key, config.secret_key)
    )
    return access_key, secret_key
