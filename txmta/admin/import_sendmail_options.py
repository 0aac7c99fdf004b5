"""
What features and options of sendmail.mc are in main.cf: a table.

Owns: the table, and how a value is written in main.cf.
Knows nothing of: where it was set.

Sources: Sendmail's cf/README, "Tweaking configuration options"; Postfix's
postconf(5).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

#: What a feature becomes, and what is to be said; without the first it is lost.
FEATURES: Mapping[str, tuple[str, str]] = {
    **{
        name: (f"{name}, if it is in this folder", "")
        for name in ("virtusertable", "mailertable", "genericstable", "domaintable")
    },
    "access_db": ("access, if it is in this folder", ""),
    "use_cw_file": ("local-host-names, if it is in this folder", ""),
    **dict.fromkeys(
        (
            *("use_ct_file", "nouucp", "nocanonify", "notsticky", "delay_checks"),
            *("always_add_domain", "local_lmtp", "no_default_msa", "compat_check"),
            *("mailq", "msp", "local_no_masquerade", "tls_session_features"),
        ),
        ("nothing to do", ""),
    ),
    "blacklist_recipients": ("check_recipient_access", ""),
    "blocklist_recipients": ("check_recipient_access", ""),
    "masquerade_envelope": ("sender_canonical_classes", ""),
    "allmasquerade": ("recipient_canonical_maps, in headers", ""),
    "limited_masquerade": ("sender_canonical: domains of MASQUERADE_DOMAIN only", ""),
    "masquerade_entire_domain": ("sender_canonical_regexp", ""),
    "accept_unresolvable_domains": ("no reject_unknown_sender_domain", ""),
    "accept_unqualified_senders": ("no reject_non_fqdn_sender", ""),
    "relay_entire_domain": ("relay_domains: $mydomain", ""),
    "relay_based_on_MX": ("permit_mx_backup", ""),
    "relay_hosts_only": ("", "relay_domains are for subdomains, too: see "
                         "parent_domain_matches_subdomains"),
    "require_rdns": ("reject_unknown_reverse_client_hostname", ""),
    "block_bad_helo": ("reject_invalid_helo_hostname, reject_non_fqdn_helo_hostname",
                       ""),
    "promiscuous_relay": ("", "an open relay: everybody could send through it"),
    "relay_mail_from": ("", "who names a sender is nobody to trust: use SASL"),
    "relay_local_from": ("", "who names a sender is nobody to trust: use SASL"),
    "loose_relay_check": ("", "user%site@here: see allow_untrusted_routing"),
    "stickyhost": ("", "user@here is not another recipient than user"),
    "redirect": ("", "see relocated_maps"),
    "smrsh": ("", "commands of aliases run without a restricted shell: see "
              "allow_mail_to_commands"),
    "greet_pause": ("", "see postscreen_greet_wait"),
    "ratecontrol": ("smtpd_client_connection_rate_limit, if access has a number", ""),
    "conncontrol": ("smtpd_client_connection_count_limit, if access has a number", ""),
    "authinfo": ("", "write smtp_sasl_password_maps by hand: it has passwords"),
    "ldap_routing": ("", "see virtual_alias_maps and transport_maps of type ldap"),
    "bestmx_is_local": ("", "name the domains in mydestination"),
    "uucpdomain": ("", "there is no UUCP"),
    "virtuser_entire_domain": ("", "a table has no key for all subdomains: name each"),
    "generics_entire_domain": ("", "a table has no key for all subdomains: name each"),
    "preserve_local_plus_detail": ("recipient_delimiter", ""),
    "preserve_luser_host": ("fallback_transport", ""),
    "queuegroup": ("", "there are no queue groups: see transport_maps"),
    "badmx": ("", "see check_sender_mx_access"),
}  # fmt: skip


@dataclass(frozen=True)
class How:
    """
    What an option becomes.

    @ivar parameters: of main.cf; none if there is nothing to do.
    @ivar kind: of its value: C{"text"}, C{"number"}, C{"days"}, C{"hours"},
        C{"minutes"} (a time, and what a bare number means) or a name of its own.
    @ivar note: a difference.
    @ivar why: it is not carried over.
    """

    parameters: tuple[str, ...] = ()
    kind: str = "text"
    note: str = ""
    why: str = ""


def _one(parameter: str, kind: str, note: str = "") -> How:
    return How((parameter,), kind, note)


def _lost(why: str) -> How:
    return How(why=why)


DEFINES: Mapping[str, How] = {
    "confDOMAIN_NAME": _one("myhostname", "host"),
    "confMAX_MESSAGE_SIZE": _one("message_size_limit", "number"),
    "confMAX_RCPTS_PER_MESSAGE": _one("smtpd_recipient_limit", "number"),
    "confMAX_HOP": _one("hopcount_limit", "number"),
    "confBAD_RCPT_THROTTLE": _one(
        "smtpd_soft_error_limit", "number", "errors of all kinds count"
    ),
    "confMAX_HEADERS_LENGTH": _one(
        "header_size_limit", "number", "of each header, not of all together"
    ),
    "confTO_QUEUERETURN": How(
        ("maximal_queue_lifetime", "bounce_queue_lifetime"), "days"
    ),
    "confTO_QUEUEWARN": _one("delay_warning_time", "hours"),
    "confCONNECTION_RATE_WINDOW_SIZE": _one("anvil_rate_time_unit", "minutes"),
    "confMIN_QUEUE_AGE": _one("minimal_backoff_time", "minutes"),
    "confTO_COMMAND": _one("smtpd_timeout", "minutes"),
    "confTO_CONNECT": _one("smtp_connect_timeout", "minutes"),
    "confTO_HELO": _one("smtp_helo_timeout", "minutes"),
    "confTO_MAIL": _one("smtp_mail_timeout", "minutes"),
    "confTO_RCPT": _one("smtp_rcpt_timeout", "minutes"),
    "confTO_DATAINIT": _one("smtp_data_init_timeout", "minutes"),
    "confTO_DATABLOCK": _one("smtp_data_xfer_timeout", "minutes"),
    "confTO_DATAFINAL": _one("smtp_data_done_timeout", "minutes"),
    "confTO_RSET": _one("smtp_rset_timeout", "minutes"),
    "confTO_QUIT": _one("smtp_quit_timeout", "minutes"),
    "confDOUBLE_BOUNCE_ADDRESS": _one("2bounce_notice_recipient", "address"),
    "confSMTP_LOGIN_MSG": _one("smtpd_banner", "banner", "macros but $j are left out"),
    "confFORWARD_PATH": _one(
        "forward_path", "forward", "paths with other macros are left out"
    ),
    "confCACERT": How(("smtpd_tls_CAfile", "smtp_tls_CAfile"), "path"),
    "confCACERT_PATH": How(("smtpd_tls_CApath", "smtp_tls_CApath"), "path"),
    "confSERVER_CERT": _one("smtpd_tls_cert_file", "path"),
    "confSERVER_KEY": _one("smtpd_tls_key_file", "path"),
    "confCLIENT_CERT": _one("smtp_tls_cert_file", "path"),
    "confCLIENT_KEY": _one("smtp_tls_key_file", "path"),
    "confCW_FILE": How(),
    "confCT_FILE": How(),
    "confCR_FILE": How(),
    "confAUTH_MECHANISMS": _lost("see smtpd_sasl_auth_enable, smtpd_sasl_path"),
    "confAUTH_OPTIONS": _lost("see smtpd_sasl_security_options"),
    "confDEF_USER_ID": _lost("see default_privs"),
    "confCOPY_ERRORS_TO": _lost("see notify_classes and bounce_notice_recipient"),
    "confMAX_DAEMON_CHILDREN": _lost("see maxproc of smtpd in master.cf"),
    "confCONNECTION_RATE_THROTTLE": _lost("see smtpd_client_connection_rate_limit"),
    "confREFUSE_LA": _lost("nothing is refused for the load of the machine"),
    "confQUEUE_LA": _lost("nothing is delayed for the load of the machine"),
    "confDELAY_LA": _lost("nothing is delayed for the load of the machine"),
    "confLOG_LEVEL": _lost("see debug_peer_list"),
    "confINPUT_MAIL_FILTERS": _lost("see smtpd_milters for their order"),
    "confREQUIRED_HEADER": _lost("see always_add_missing_headers"),
    "confTLS_SRV_OPTIONS": _lost("see smtpd_tls_ask_ccert"),
    "confCIPHER_LIST": _lost("see smtpd_tls_mandatory_ciphers"),
    "confCRL": _lost("there are no revocation lists"),
    "confDONT_BLAME_SENDMAIL": _lost("whose files are read is Postfix's to say"),
    **dict.fromkeys(
        (
            *("confTO_IDENT", "confTO_INITIAL", "confTO_ICONNECT", "confTO_MISC"),
            *("confDELIVERY_MODE", "confME_TOO", "confALIAS_WAIT", "confMAILER_NAME"),
            *("confEIGHT_BIT_HANDLING", "confTRUSTED_USER"),
            "confHOST_STATUS_DIRECTORY",
            *("confTRY_NULL_MX_LIST", "confDONT_PROBE_INTERFACES", "confAUTO_REBUILD"),
            *("confCHECKPOINT_INTERVAL", "confMCI_CACHE_SIZE", "confMCI_CACHE_TIMEOUT"),
            *("confRUN_AS_USER", "confSAVE_FROM_LINES", "confUNSAFE_GROUP_WRITES"),
            *("STATUS_FILE", "QUEUE_DIR", "HELP_FILE", "PROCMAIL_MAILER_PATH"),
            *("UUCP_MAILER_MAX", "LOCAL_MAILER_PATH", "LOCAL_MAILER_ARGS"),
            *("confPID_FILE", "confCONTROL_SOCKET_NAME", "confSAFE_QUEUE"),
        ),
        How(),
    ),
}  # fmt: skip

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DEFAULT_UNIT = {"days": "d", "hours": "h", "minutes": "m"}


def define_value(kind: str, value: str) -> str:
    """
    @return: as it is written in main.cf, or C{""} if it cannot be.
    """
    value = value.strip()
    if kind in _DEFAULT_UNIT:
        return _time(value, _DEFAULT_UNIT[kind])
    if kind == "banner":
        return _banner(value)
    if kind == "forward":
        return _forward(value)
    patterns = {
        "number": r"\d{1,15}",
        "host": r"[\w-]+(\.[\w-]+)*",
        "path": r"/[\w./@+-]+",
        "address": r"[\w.+-]+(@[\w.-]+)?",
    }
    return value if re.fullmatch(patterns[kind], value) else ""


def _time(text: str, unit: str) -> str:
    if re.fullmatch(r"\d{1,6}", text):
        return text + unit
    if not re.fullmatch(r"(?:\d{1,6}[smhdw]){1,5}", text):
        return ""
    parts = re.findall(r"(\d+)([smhdw])", text)
    if len(parts) == 1:
        return text
    return f"{sum(int(n) * _UNITS[unit] for n, unit in parts)}s"


def _banner(text: str) -> str:
    """
    What Postfix's banner cannot say is left out: version, date.
    """
    text = re.sub(r"\$j", "\0", text)
    text = re.sub(r"\$\w|\$\{\w+\}", "", text).replace("$", "$$")
    text = " ".join(w for w in text.split() if re.search(r"[\0\w]", w)).strip(";")
    if not text.startswith("\0"):
        text = f"\0 {text}"
    words = text.replace("\0", "$myhostname")
    return words if "ESMTP" in words else f"{words} ESMTP"


def _forward(text: str) -> str:
    """
    C{$z} is the home directory, C{$u} the user, C{$h} the extension.
    """
    known = {"z": "$home", "u": "$user", "h": "$extension"}
    found: list[str] = []
    for path in text.split(":"):
        letters = re.findall(r"\$(\{?\w+\}?)", path)
        if all(letter in known for letter in letters) and path:
            found.append(re.sub(r"\$(\w)", lambda m: known[m[1]], path))
    return ", ".join(found)
