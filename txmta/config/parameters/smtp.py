"""
The SMTP client.
"""

from __future__ import annotations

from txmta.config.declare import Status, boolean, choice, count, string, time, words
from txmta.config.parameters.client_tls import ClientTlsParameters
from txmta.config.parameters.smtp_sasl import SmtpSaslParameters


class SmtpParameters(ClientTlsParameters, SmtpSaslParameters):
    """
    Postfix: C{src/smtp}.
    """

    smtp_helo_name = string(
        "$myhostname", doc="The host name that we give in EHLO and HELO."
    )
    smtp_always_send_ehlo = boolean(
        "yes", doc="Send EHLO whatever the server's greeting says."
    )
    smtp_never_send_ehlo = boolean("no", doc="Never send EHLO, always HELO.")
    smtp_skip_4xx_greeting = boolean(
        "yes",
        doc="Try the next host when a server greets with 4xx.",
        status=Status.NO_EFFECT,
        note="Always so, as in Postfix.",
    )
    smtp_skip_5xx_greeting = boolean(
        "yes",
        doc="Try the next host when a server greets with 5xx; else mail is returned.",
    )
    smtp_skip_quit_response = boolean(
        "yes", doc="Hang up after QUIT without waiting for the answer."
    )
    smtp_quote_rfc821_envelope = boolean(
        "yes", doc="Quote addresses in MAIL FROM and RCPT TO as RFC 5321 requires."
    )
    smtp_discard_ehlo_keywords = words(
        "", doc="EHLO keywords of a server that are ignored, in any case."
    )
    smtp_discard_ehlo_keyword_address_maps = words(
        "",
        kind="tables",
        doc="EHLO keywords to ignore, by server address.",
        status=Status.NOT_YET,
    )
    smtp_line_length_limit = count(
        "998",
        doc="Longest line sent, without CRLF; a longer one is broken with CRLF and"
        " a space. 0: no limit.",
    )

    smtp_connect_timeout = time(
        "30s", doc="Time to complete a TCP connection; 0: the system's own limit."
    )
    smtp_helo_timeout = time(
        "300s", low=1, doc="Time for the greeting, and for the answer to EHLO or HELO."
    )
    smtp_mail_timeout = time("300s", low=1, doc="Time for the answer to MAIL FROM.")
    smtp_rcpt_timeout = time("300s", low=1, doc="Time for each answer to RCPT TO.")
    smtp_data_init_timeout = time("120s", low=1, doc="Time for the answer to DATA.")
    smtp_data_xfer_timeout = time(
        "180s", low=1, doc="Time in which a server must take the next 64 KiB."
    )
    smtp_data_done_timeout = time(
        "600s", low=1, doc="Time for the answer to the final dot."
    )
    smtp_xforward_timeout = time("300s", low=1, doc="Time for the answer to XFORWARD.")
    smtp_rset_timeout = time("20s", low=1, doc="Time for the answer to RSET.")
    smtp_quit_timeout = time("300s", low=1, doc="Time for the answer to QUIT.")
    smtp_per_request_deadline = boolean(
        "no",
        doc="Count a time limit from the request, not from the last octet.",
        status=Status.NO_EFFECT,
        note="Always so for replies: each must be complete in its time.",
    )
    smtp_min_data_rate = count(
        "500",
        low=1,
        doc="Least octets a second, with smtp_per_request_deadline.",
        status=Status.NO_EFFECT,
        note="64 KiB in smtp_data_xfer_timeout is the least rate.",
    )

    smtp_tcp_port = string("smtp", doc="The port where a next hop names none.")
    smtp_bind_address = string("", doc="Source address of IPv4 connections.")
    smtp_bind_address6 = string("", doc="Source address of IPv6 connections.")
    smtp_bind_address_enforce = boolean(
        "no", doc="Defer when the source address cannot be used; else do without."
    )
    smtp_address_preference = choice(
        "any",
        ("any", "ipv4", "ipv6"),
        doc="Which kind of address is tried first, among equal MX preferences.",
    )
    smtp_balance_inet_protocols = boolean(
        "yes",
        doc="Keep addresses of both kinds within smtp_mx_address_limit.",
    )
    smtp_randomize_addresses = boolean("yes", doc="Shuffle hosts of equal preference.")
    smtp_mx_address_limit = count(
        "5", doc="Addresses to try in one delivery; 0: no limit."
    )
    smtp_mx_session_limit = count(
        "2", doc="Sessions in one delivery, failed handshakes not counted; 0: no limit."
    )
    smtp_fallback_relay = words(
        "$fallback_relay",
        doc="Where mail goes when its destination is not found or not reachable.",
    )
    smtp_host_lookup = words(
        "dns", doc="How a host is looked up: dns, native (/etc/hosts and more)."
    )
    smtp_dns_support_level = choice(
        "",
        ("", "disabled", "enabled", "dnssec"),
        doc="disabled: no MX lookups, hosts by the native name service; dnssec: and "
        "the levels of TLS that need signed records (dane) can be used.",
    )
    disable_dns_lookups = boolean(
        "no", doc="As smtp_dns_support_level = disabled, where that is empty."
    )
    ignore_mx_lookup_error = boolean(
        "no", doc="Look for the host itself when an MX lookup fails."
    )
    smtp_defer_if_no_mx_address_found = boolean(
        "no", doc="Defer, instead of returning mail, when no MX host has an address."
    )
    smtp_cname_overrides_servername = boolean(
        "no",
        doc="Use the name that a CNAME leads to.",
        status=Status.NO_EFFECT,
        note="Matters for TLS policies and SASL passwords only.",
    )

    smtp_connection_cache_on_demand = boolean(
        "yes",
        doc="Keep connections for more mail to the same destination.",
        status=Status.APPROXIMATED,
        note="Whatever the load, not only when much mail waits.",
    )
    smtp_connection_cache_destinations = words(
        "",
        doc="Domains, and hosts without [], for which connections are always kept.",
        status=Status.APPROXIMATED,
        note="Names only, no tables or files.",
    )
    smtp_connection_cache_time_limit = time(
        "2s", low=1, doc="How long an unused connection is kept."
    )
    smtp_connection_reuse_time_limit = time(
        "300s", low=1, doc="How long a connection is used, since it was made."
    )
    smtp_connection_reuse_count_limit = count(
        "0", doc="How many times a connection is used; 0: no limit."
    )

    smtp_pix_workarounds = words(
        "disable_esmtp, delay_dotcrlf",
        doc="Work around bugs of PIX firewalls of long ago.",
        status=Status.NO_EFFECT,
        note="No such firewall is known to be in service.",
    )
    smtp_pix_workaround_maps = words(
        "",
        kind="tables",
        doc="Workarounds by server address.",
        status=Status.NO_EFFECT,
        note="See smtp_pix_workarounds.",
    )
    smtp_pix_workaround_delay_time = time(
        "10s",
        doc="Wait before the final dot.",
        status=Status.NO_EFFECT,
        note="See smtp_pix_workarounds.",
    )
    smtp_pix_workaround_threshold_time = time(
        "500s",
        doc="Age of mail for which workarounds are used.",
        status=Status.NO_EFFECT,
        note="See smtp_pix_workarounds.",
    )

    smtp_delivery_status_filter = words(
        "$default_delivery_status_filter",
        kind="tables",
        doc="Tables that replace the status and the text of deliveries by SMTP.",
    )
    smtp_generic_maps = words(
        "",
        kind="tables",
        doc="Tables of addresses that are replaced, in envelope and headers, in mail "
        "that leaves by SMTP.",
    )
    smtp_header_checks = words(
        "",
        kind="tables",
        doc="Tables that are asked for each header of a message that leaves: REPLACE, "
        "PREPEND, IGNORE, STRIP, WARN, INFO, DUNNO.",
    )
    smtp_mime_header_checks = words(
        "", kind="tables", doc="MIME header checks at delivery.", status=Status.NOT_YET
    )
    smtp_nested_header_checks = words(
        "",
        kind="tables",
        doc="Checks of headers of attached messages at delivery.",
        status=Status.NOT_YET,
    )
    smtp_body_checks = words(
        "", kind="tables", doc="Body checks at delivery.", status=Status.NOT_YET
    )
    smtp_reply_filter = words(
        "",
        kind="tables",
        doc="Table that replaces replies of servers before they are understood, line "
        "by line.",
    )
    smtp_dns_reply_filter = words(
        "",
        kind="tables",
        doc="Tables that are asked for each MX, A and AAAA record (name ttl class type "
        "preference value); those for which they say IGNORE do not count.",
        status=Status.APPROXIMATED,
        note="The ttl is that of the answer as a whole.",
    )
    smtp_dns_resolver_options = words(
        "",
        doc="res_defnames, res_dnsrch: complete host names.",
        status=Status.NOT_YET,
    )
    smtp_send_xforward_command = boolean(
        "no",
        doc="Tell servers that offer XFORWARD, as content filters do, where mail "
        "came from: the client, what it called itself, and our queue id.",
    )
    disable_mime_output_conversion = boolean(
        "no",
        doc="Send 8-bit mail as it is to servers without 8BITMIME; else its parts"
        " that say 8bit or binary become quoted-printable.",
    )
    best_mx_transport = string(
        "",
        doc="Where mail goes for which this host is the best MX.",
        status=Status.NOT_YET,
    )
