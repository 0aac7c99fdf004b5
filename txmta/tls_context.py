"""
Contexts of a TLS library from what is configured, for servers and clients.

Owns: which calls of the library say what; all files are read when a context is
    made, for later they may be out of reach.
Knows nothing of: parameters, connections.

Sources: pyOpenSSL; SSL_CTX_set_options(3); Postfix C{tls/tls_server.c},
C{tls/tls_client.c}, C{tls/tls_dh.c} (curves that are not known are skipped).

Errors: L{ConfigError<txmta.errors.ConfigError>}.

@note: C{OpenSSL} is imported where it is used: without TLS nobody needs it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from txmta.errors import ConfigError
from txmta.tls_files import Chain
from txmta.tls_policy import Protocols

if TYPE_CHECKING:
    from cryptography import x509
    from OpenSSL import SSL


@dataclass(frozen=True)
class Wanted:
    """
    @ivar ciphers: an OpenSSL cipher list, for versions up to TLS 1.2.
    @ivar curves: names, best first; none: as the library likes.
    @ivar options: bits to be set, besides those that are always set.
    """

    protocols: Protocols
    ciphers: str
    curves: Sequence[str] = ()
    options: int = 0


def make_context(
    wanted: Wanted, server: bool, made: SSL.Context | None = None
) -> SSL.Context:
    """
    @param server: it accepts connections.
    @param made: to be used, instead of a new one.
    @return: without certificates, and without authorities: nothing is verified.
    @raise ConfigError: the library cannot do what is wanted.
    """
    from OpenSSL import SSL

    method = SSL.TLS_SERVER_METHOD if server else SSL.TLS_CLIENT_METHOD
    context = made or SSL.Context(method)
    protocols = wanted.protocols
    context.set_min_proto_version(max(protocols.low, SSL.TLS1_VERSION))
    context.set_max_proto_version(protocols.high)
    bits = SSL.OP_ALL | SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION
    bits |= SSL.OP_NO_SSLv2 | SSL.OP_NO_SSLv3
    for name in protocols.off:
        bits |= getattr(SSL, f"OP_NO_{name.replace('.', '_')}", 0)
    context.set_options(bits | wanted.options)
    # A connection that is idle keeps no buffers.
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    try:
        context.set_cipher_list(wanted.ciphers.encode())
    except SSL.Error as e:
        raise ConfigError([f"there is no cipher in {wanted.ciphers}"]) from e
    _set_curves(context, wanted.curves)
    return context


def _set_curves(context: Any, curves: Sequence[str]) -> None:
    # pyOpenSSL has a call for one curve only; its library has this one.
    from OpenSSL._util import lib

    if not curves:
        return

    def known(names: Iterable[str]) -> bool:
        text = ":".join(names).encode()
        good = bool(lib.SSL_CTX_set1_curves_list(context._context, text) == 1)
        if not good:
            lib.ERR_clear_error()
        return good

    if not known(curves):
        some = [name for name in curves if known([name])]
        if not some or not known(some):
            raise ConfigError([f"no curve of {' '.join(curves)} is known"])


def use_chains(context: SSL.Context, chains: Sequence[Chain]) -> None:
    """
    Have these certificates shown; one of each kind of key.

    @raise ConfigError: the library does not like one.
    """
    from OpenSSL import SSL, crypto

    for chain in chains:
        own, *above = chain.certificates
        try:
            if len(chains) == 1:
                context.use_certificate(crypto.X509.from_cryptography(own))
                for each in above:
                    context.add_extra_chain_cert(crypto.X509.from_cryptography(each))
            else:
                _use_by_file(context, chain.certificates)
            context.use_privatekey(chain.key)
        except (SSL.Error, TypeError) as e:
            raise ConfigError([f"{chain.where}: {_library(e)}"]) from e


def _use_by_file(
    context: SSL.Context, certificates: Sequence[x509.Certificate]
) -> None:
    """
    The one call of pyOpenSSL that gives each certificate a chain of its own.
    """
    from cryptography.hazmat.primitives.serialization import Encoding

    with open(os.memfd_create("chain", os.MFD_CLOEXEC), "wb") as file:
        for each in certificates:
            file.write(each.public_bytes(Encoding.PEM))
        file.flush()
        context.use_certificate_chain_file(f"/proc/self/fd/{file.fileno()}")


def trust(context: SSL.Context, authorities: Iterable[x509.Certificate]) -> None:
    """
    Verify certificates of peers with these.
    """
    from OpenSSL import crypto

    store = context.get_cert_store()
    assert store is not None, "every context has one"
    for each in authorities:
        store.add_cert(crypto.X509.from_cryptography(each))


def _library(error: Exception) -> str:
    """
    @return: what the library says, in a few words.
    """
    found = error.args[0] if error.args else ""
    if isinstance(found, list):
        return (
            "; ".join(str(each[-1]) for each in found[:3]) or "the library refuses it"
        )
    return str(found)[:200]
