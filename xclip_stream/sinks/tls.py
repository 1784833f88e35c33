"""TLS for the sinks that are connected over it."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from xclip_stream.errors import DeliveryError


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """Who is trusted, and what is shown to the server. The server's certificate and name are verified in any case.

    Args:
        ca_file: who signed the server's certificate; None for the authorities that the system trusts.
        key_file: None where it is in `cert_file`.
    """

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    def context(self) -> ssl.SSLContext:
        """Read the files.

        Raises:
            DeliveryError: one of them cannot be read now; certificates are renewed while we run.
        """
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            if self.cert_file:
                # A password would be asked for on the terminal.
                context.load_cert_chain(self.cert_file, self.key_file, password="")
        except OSError as error:
            named = ", ".join(str(path) for path in (self.ca_file, self.cert_file, self.key_file) if path)
            raise DeliveryError(f"tls files {named}: {error.strerror or error}") from None
        return context
