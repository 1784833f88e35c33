"""A certificate authority for one test, made with openssl."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.conftest import missing_part

_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclass(frozen=True)
class Certificates:
    """A certificate authority, and the certificates that it has given: to the servers on 127.0.0.1, and to a client."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> Self:
        made = cls(folder)
        made._openssl("req", "-x509", *_NEW_KEY, "-days", "2", "-subj", "/CN=test CA", *made._files("ca"))
        for name in ("server", "client"):
            request, names = folder / f"{name}.csr", folder / f"{name}.ext"
            names.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
            key, out = folder / f"{name}.key", folder / f"{name}.crt"
            made._openssl("req", *_NEW_KEY, "-subj", f"/CN={name}", "-keyout", str(key), "-out", str(request))
            signer = ("-CA", str(made.ca_file), "-CAkey", str(folder / "ca.key"), "-CAcreateserial")
            made._openssl(
                "x509", "-req", "-in", str(request), "-out", str(out), "-days", "2", *signer, "-extfile", str(names)
            )
        return made

    @property
    def ca_file(self) -> Path:
        return self.folder / "ca.crt"

    @property
    def client_query(self) -> str:
        """What makes a URL show the client's certificate and trust the authority."""
        folder = self.folder
        return f"ssl_ca_certs={folder}/ca.crt&ssl_certfile={folder}/client.crt&ssl_keyfile={folder}/client.key"

    def server_options(self, port: int) -> list[str]:
        """Return the options of a server that talks TLS alone, and only with those who show a certificate."""
        files = {"cert": "server.crt", "key": "server.key", "ca-cert": "ca.crt"}
        shown = [part for name, file in files.items() for part in (f"--tls-{name}-file", str(self.folder / file))]
        return ["--tls-port", str(port), "--tls-replication", "yes", "--tls-auth-clients", "yes", *shown]

    def _files(self, name: str) -> list[str]:
        return ["-keyout", str(self.folder / f"{name}.key"), "-out", str(self.folder / f"{name}.crt")]

    def _openssl(self, *arguments: str) -> None:
        program = shutil.which("openssl") or missing_part("openssl", "apt-get install openssl")
        subprocess.run([program, *arguments], check=True, capture_output=True, timeout=60)
