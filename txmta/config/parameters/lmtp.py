"""
The LMTP client: the parameters of the SMTP client once more, each with a name
and a value of its own.

Sources: Postfix's lmtp(8), C{src/smtp/lmtp_params.c}.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from txmta.config.declare import Parameter, boolean, declared
from txmta.config.parameters.smtp import SmtpParameters

#: What LMTP has no use for.
_SMTP_ONLY = (
    "smtp_always_send_ehlo",
    "smtp_never_send_ehlo",
    "smtp_skip_4xx_greeting",
    "smtp_tls_dane_insecure_mx_policy",
)

#: Names with a word that SMTP and LMTP do not share.
_RENAMED = {
    "smtp_helo_name": "lmtp_lhlo_name",
    "smtp_helo_timeout": "lmtp_lhlo_timeout",
    "smtp_discard_ehlo_keywords": "lmtp_discard_lhlo_keywords",
    "smtp_discard_ehlo_keyword_address_maps": "lmtp_discard_lhlo_keyword_address_maps",
}

#: Defaults that differ, by name.
_DEFAULTS = {
    "lmtp_connect_timeout": "0s",
    "lmtp_delivery_status_filter": "",
    "lmtp_fallback_relay": "",
    "lmtp_skip_quit_response": "no",
    "lmtp_tcp_port": "24",
    "lmtp_tls_eckey_file": "",
    "lmtp_tls_secure_cert_match": "nexthop",
    "lmtp_tls_security_level": "",
}


def _names() -> Iterator[tuple[str, str]]:
    for parameter in declared(SmtpParameters):
        name = parameter.name
        if name.startswith("smtp_") and name not in _SMTP_ONLY:
            yield name, _RENAMED.get(name, "lmtp_" + name.removeprefix("smtp_"))


#: The name of each parameter of the SMTP client for the LMTP client.
LMTP_NAMES: Mapping[str, str] = dict(_names())


def _variant(parameter: Parameter[object], name: str) -> Parameter[object]:
    default = _DEFAULTS.get(name, parameter.default)
    if isinstance(default, str):
        default = default.replace("$smtp_", "$lmtp_")
    return Parameter(
        default,
        parameter.convert,
        kind=parameter.kind,
        doc=f"As {parameter.name}, for LMTP.",
        status=parameter.status,
        note=parameter.note,
        expand=parameter.expand,
        name=name,
    )


class LmtpParameters:
    """
    Postfix: C{src/smtp}, as lmtp(8).
    """

    lmtp_assume_final = boolean(
        "no",
        doc="What a server without DSN takes is delivered, not relayed: so say"
        " notices of success.",
    )

    vars().update(
        (LMTP_NAMES[parameter.name], _variant(parameter, LMTP_NAMES[parameter.name]))
        for parameter in declared(SmtpParameters)
        if parameter.name in LMTP_NAMES
    )
