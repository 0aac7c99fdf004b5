"""
TLS settings of a database client.

Owns: what C{tls_*} mean; its files are read when the table is opened, when
    root may still read them.
Knows nothing of: connections.

Sources: Postfix's mysql_table(5), ldap_table(5).
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from txmta.maps.client_file import ClientSettings


@dataclass(frozen=True)
class TlsNames:
    """
    Names of settings.

    @ivar authorities_count: a certificate must be of one of the authorities that
        are named, also if C{verify} is not set.
    """

    cert: str
    key: str
    file: str
    folder: str
    ciphers: str
    verify: str
    authorities_count: bool

    @property
    def all(self) -> tuple[str, ...]:
        return (*self.ask_for_tls, self.verify)

    @property
    def ask_for_tls(self) -> tuple[str, ...]:
        return self.cert, self.key, self.file, self.folder, self.ciphers


#: Of SQL databases.
SQL_TLS = TlsNames(
    *("tls_cert_file", "tls_key_file", "tls_CAfile", "tls_CApath"),
    *("tls_ciphers", "tls_verify_cert"),
    authorities_count=True,
)
LDAP_TLS = TlsNames(
    *("tls_cert", "tls_key", "tls_ca_cert_file", "tls_ca_cert_dir"),
    *("tls_cipher_suite", "tls_require_cert"),
    authorities_count=False,
)


def tls_context(
    found: ClientSettings, wanted: bool = False, names: TlsNames = SQL_TLS
) -> ssl.SSLContext | None:
    """
    @param wanted: also if nothing is set.
    @return: L{None}: nothing is set. With one TLS is a must.
    """
    verify = found.flag(names.verify, False)
    if not (wanted or verify or any(found.text(name) for name in names.ask_for_tls)):
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = verify
    has_authorities = found.text(names.file) or found.text(names.folder)
    if not (verify or (names.authorities_count and has_authorities)):
        context.verify_mode = ssl.CERT_NONE
    _authorities(found, context, names)
    _certificate(found, context, names)
    if ciphers := found.text(names.ciphers):
        try:
            context.set_ciphers(ciphers)
        except ssl.SSLError as e:
            found.wrong(names.ciphers, f'"{ciphers}": {e}')
    return context


def _certificate(
    found: ClientSettings, context: ssl.SSLContext, names: TlsNames
) -> None:
    cert, key = found.text(names.cert), found.text(names.key)
    if key and not cert:
        found.wrong(names.cert, f"is missing, but there is a {names.key}")
    elif cert:
        try:
            context.load_cert_chain(cert, key or None, _no_password)
        except (OSError, ValueError) as e:
            found.wrong(names.cert, f"{cert}: {key}: {e}")


def _no_password() -> str:
    # Nobody is asked on a terminal.
    raise ValueError("the key has a password")


def _authorities(
    found: ClientSettings, context: ssl.SSLContext, names: TlsNames
) -> None:
    # The file takes precedence over the folder.
    name = names.file if found.text(names.file) else names.folder
    path = found.text(name)
    try:
        if path:
            is_file = name == names.file
            context.load_verify_locations(
                path if is_file else None, None if is_file else path
            )
        elif context.check_hostname:
            context.load_default_certs()
    except OSError as e:
        found.wrong(name, f"{path}: {e}")
