"""What `--tls`, `--cert` and `--key` ask for: a context for the server, and a file by which clients trust it.

With `--tls` an authority is made for the run. Its certificate lies in the file from the ready line until the end, as
the admin API's token does: it is of no use to anybody when the server has gone. Nothing else that lies there is ever
replaced, because the file of a private key is soon named by mistake.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final

from rest_api_client.lazy_dataclasses import dataclass

_MAKER: Final = "mockserver, for one run"
"""Stands in each certificate of an authority made here: by this a file is known that nobody will miss."""

_LARGEST: Final = 10_000


@dataclass(frozen=True, eq=False)
class OwnAuthority:
    """An authority for one run.

    Attributes:
        file: where its certificate goes.
        context: for a server with a certificate that it has signed.
        certificate: its own, as PEM.
    """

    file: Path
    context: ssl.SSLContext
    certificate: bytes

    def publish(self) -> None:
        """Write the file, in place of one that an earlier run left.

        Raises:
            OSError: it cannot be written; the message says what to do.
        """
        try:
            if _left_behind(self.file):
                self.file.unlink()
            with self.file.open("xb") as file:
                file.write(self.certificate)
        except OSError as error:
            why = f"cannot write the certificate to {self.file} ({error.strerror}): name another file by --tls"
            raise OSError(error.errno, why) from error

    def withdraw(self) -> None:
        """Remove the file, unless it is another by now."""
        if _left_behind(self.file) and self.file.read_bytes() == self.certificate:
            self.file.unlink(missing_ok=True)


def own_authority(file: Path, host: str) -> OwnAuthority:
    """An authority for a server on this host; the file is not written yet.

    Raises:
        ValueError: trustme is missing, or something lies where the file should go.
    """
    try:
        import trustme
    except ModuleNotFoundError as error:
        raise ValueError("--tls needs trustme (pip install trustme); or give --cert and --key") from error
    if not file.parent.is_dir():
        raise ValueError(f"--tls {file}: No such file or directory: make the folder first")
    if (file.exists() or file.is_symlink()) and not _left_behind(file):
        raise ValueError(f"--tls {file}: there is something else, which would be lost: name a file that is to be made")
    authority = trustme.CA(organization_name=_MAKER)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*dict.fromkeys((host, "localhost", "127.0.0.1", "::1"))).configure_cert(context)
    return OwnAuthority(file, context, authority.cert_pem.bytes())


def given_certificate(certificate: Path, key: Path | None) -> ssl.SSLContext:
    """A context with a certificate from a file, and its key from the same or another.

    Raises:
        ValueError: a file cannot be read, or is not what it should be; the message names the flag.
    """
    for flag, file in (("--cert", certificate), ("--key", key)):
        if file is not None:
            _check_readable(flag, file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    asked: list[str] = []  # for a password: OpenSSL would ask whoever sits at the terminal

    def password() -> str:
        asked.append("")
        return ""

    try:
        context.load_cert_chain(certificate, key, password=password)
    except ssl.SSLError as error:
        if asked:
            why = f"--key {key or certificate}: the key is encrypted; give one that is not"
        else:
            why = _refusal(certificate, key, mismatch=error.reason == "KEY_VALUES_MISMATCH")
        raise ValueError(why) from error
    return context


def _check_readable(flag: str, file: Path) -> None:
    try:
        with file.open("rb"):
            pass
    except OSError as error:
        raise ValueError(f"{flag} {file}: {error.strerror}") from error


def _refusal(certificate: Path, key: Path | None, *, mismatch: bool) -> str:
    if mismatch:
        return f"--cert {certificate}: the key is that of another certificate; give the one that belongs to it"
    if key is None:
        return f"--cert {certificate}: no certificate with its key (PEM) is in it; give a key of its own by --key"
    return f"--cert {certificate}, --key {key}: give PEM files, the one with a certificate, the other with its key"


def _left_behind(file: Path) -> bool:
    """Whether it is the certificate of an authority made here, and nothing else."""
    if file.is_symlink() or not file.is_file():
        return False
    with file.open("rb") as opened:
        text = opened.read(_LARGEST).decode("latin-1")
    try:
        return text.count("BEGIN") == 1 and _MAKER.encode() in ssl.PEM_cert_to_DER_cert(text)
    except ValueError:
        return False
