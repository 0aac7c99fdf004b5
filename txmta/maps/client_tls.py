"""
TLS settings of a database client.

Owns: what C{tls_*} mean; its files are read when the table is opened, when
    root may still read them.
Knows nothing of: connections.

Sources: Postfix's mysql_table(5).
"""

from __future__ import annotations

import ssl

from txmta.maps.client_file import ClientSettings

#: All names.
TLS = (
    *("tls_cert_file", "tls_key_file", "tls_CAfile", "tls_CApath"),
    *("tls_ciphers", "tls_verify_cert"),
)


def tls_context(found: ClientSettings, wanted: bool = False) -> ssl.SSLContext | None:
    """
    @param wanted: also if nothing is set.
    @return: L{None}: nothing is set. With one TLS is a must.
    """
    verify = found.flag("tls_verify_cert", False)
    if not (wanted or verify or any(found.text(name) for name in TLS[:-1])):
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = verify
    file, folder = found.text("tls_CAfile"), found.text("tls_CApath")
    if not (file or folder or context.check_hostname):
        context.verify_mode = ssl.CERT_NONE
    _authorities(found, context, file, "" if file else folder)
    cert, key = found.text("tls_cert_file"), found.text("tls_key_file")
    if key and not cert:
        found.wrong("tls_cert_file", "is missing, but there is a tls_key_file")
    elif cert:
        try:
            context.load_cert_chain(cert, key or None, _no_password)
        except (OSError, ssl.SSLError, ValueError) as e:
            found.wrong("tls_cert_file", f"{cert}: {key}: {e}")
    if ciphers := found.text("tls_ciphers"):
        try:
            context.set_ciphers(ciphers)
        except ssl.SSLError as e:
            found.wrong("tls_ciphers", f'"{ciphers}": {e}')
    return context


def _no_password() -> str:
    # Nobody is asked on a terminal.
    raise ValueError("the key has a password")


def _authorities(
    found: ClientSettings, context: ssl.SSLContext, file: str, folder: str
) -> None:
    try:
        if file or folder:
            context.load_verify_locations(file or None, folder or None)
        elif context.check_hostname:
            context.load_default_certs()
    except (OSError, ssl.SSLError) as e:
        name = "tls_CAfile" if file else "tls_CApath"
        found.wrong(name, f"{file or folder}: {e}")
