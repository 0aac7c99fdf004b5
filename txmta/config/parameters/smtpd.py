"""
The SMTP server.
"""

# Over budget: a table; what makes it long is its documentation.

from __future__ import annotations

from txmta.config.declare import Status, boolean, choice, count, string, time, words


class SmtpdParameters:
    """
    Postfix: C{src/smtpd}.
    """

    smtpd_banner = string(
        "$myhostname ESMTP $mail_name",
        doc="What follows 220 in the greeting. RFC 5321 wants $myhostname first.",
    )
    smtpd_timeout = time(
        "${stress?{10}:{300}}s",
        low=1,
        doc="How long a client may take to send a request, or to take a reply.",
    )
    smtpd_per_request_deadline = boolean(
        "${smtpd_per_record_deadline?{$smtpd_per_record_deadline}:"
        "{${stress?{yes}:{no}}}}",
        doc="Let smtpd_timeout limit a whole request, not each read of it, so "
        "that a client cannot hold a session with an octet now and then.",
    )
    smtpd_min_data_rate = count(
        "500",
        low=1,
        doc="With smtpd_per_request_deadline: octets of content that buy one "
        "more second.",
    )
    smtpd_helo_required = boolean(
        "no", doc="Refuse MAIL from a client that has not sent HELO or EHLO."
    )
    strict_rfc821_envelopes = boolean(
        "no",
        doc="Take addresses in MAIL and RCPT only in angle brackets, without "
        "comments or phrases.",
    )
    disable_vrfy_command = boolean("no", doc="Refuse VRFY.")
    smtputf8_enable = boolean(
        "${{$compatibility_level} <level {1} ? {no} : {yes}}",
        doc="Announce SMTPUTF8; commands must then be valid UTF-8.",
    )
    strict_smtputf8 = boolean(
        "no",
        doc="Refuse an address with non-ASCII text if the client did not say "
        "SMTPUTF8. With no, only its domain must be ASCII then.",
    )
    smtpd_discard_ehlo_keywords = words(
        "",
        doc="EHLO keywords that are not announced: pipelining, size, vrfy, "
        "8bitmime, dsn, smtputf8, chunking ... silent-discard is understood.",
    )
    smtpd_peername_lookup = boolean(
        "yes", doc="Look up the client's name, and verify it; no: unknown."
    )

    # Limits on one session.

    message_size_limit = count(
        "10240000", doc="Largest message in octets; 0 is no limit."
    )
    queue_minfree = count(
        "0",
        doc="Octets that must be free in the queue's file system for MAIL to be "
        "accepted. 1.5 times message_size_limit must be free anyway.",
    )
    smtpd_recipient_limit = count(
        "1000", low=1, doc="Recipients of one message; more get 452."
    )
    smtpd_recipient_overshoot_limit = count(
        "1000",
        low=1,
        doc="Recipients above smtpd_recipient_limit that do not count as errors.",
    )
    smtpd_soft_error_limit = count(
        "10", low=1, doc="Errors after which replies are delayed."
    )
    smtpd_hard_error_limit = count(
        "${stress?{1}:{20}}",
        low=1,
        doc="Errors after which the client is disconnected.",
    )
    smtpd_error_sleep_time = time(
        "1s", doc="Delay of each reply after smtpd_soft_error_limit errors."
    )
    smtpd_junk_command_limit = count(
        "${stress?{1}:{100}}",
        low=1,
        doc="Commands without mail (NOOP, VRFY, RSET, EHLO) in one session "
        "before each more is an error.",
    )
    stress = string(
        "",
        doc="yes in ${stress?{...}:{...}} for sessions that begin while a service "
        "has hardly room for more: 8 of 10 sessions of its maxproc in master.cf, or "
        "of half the files that a process may open.",
        status=Status.APPROXIMATED,
        note="Postfix tells processes that it starts while all are busy.",
    )

    # What a client may not do.

    smtpd_forbid_unauth_pipelining = boolean(
        "yes",
        doc="Disconnect a client that sends commands ahead without being allowed "
        "to: before the greeting, without EHLO, or after EHLO, DATA, NOOP, VRFY.",
    )
    smtpd_forbid_bare_newline = choice(
        "normalize",
        ("normalize", "yes", "note", "reject", "no"),
        doc="A line that ends in LF without CR. normalize (or yes): it is a line, "
        "and becomes CRLF; note: and is logged; reject: refuse the command or "
        "the message. Whatever stands here, only CR LF . CR LF ends a message.",
        status=Status.APPROXIMATED,
        note="With no, Postfix lets LF . LF end a message; we never do.",
    )
    smtpd_forbid_bare_newline_exclusions = words(
        "$mynetworks",
        doc="Clients that smtpd_forbid_bare_newline = reject or note spares.",
        status=Status.APPROXIMATED,
        note="Postfix also lets their LF . LF end a message; we never do.",
    )
    smtpd_forbid_bare_newline_reject_code = count(
        "550", low=400, high=599, doc="Reply code for a bare newline."
    )
    smtpd_forbidden_commands = words(
        "CONNECT GET POST regexp:{{/^[^A-Z]/ Bogus}}",
        doc="Commands that end the session with 221: words, and expressions in "
        "an inline regexp: table.",
        status=Status.APPROXIMATED,
        note="Of tables only inline regexp: is understood.",
    )
    smtpd_noop_commands = words("", doc="Commands that do nothing, like NOOP.")

    # How many clients.

    smtpd_client_connection_count_limit = count(
        "50", doc="Connections of one client at a time; 0 is no limit."
    )
    smtpd_client_connection_rate_limit = count(
        "0",
        doc="Connections that one client may make in anvil_rate_time_unit; 0 is no "
        "limit.",
    )
    smtpd_client_message_rate_limit = count(
        "0", doc="The same for MAIL commands, whether or not they are accepted."
    )
    smtpd_client_recipient_rate_limit = count(
        "0", doc="The same for RCPT commands, whether or not they are accepted."
    )
    smtpd_client_new_tls_session_rate_limit = count(
        "0", doc="The same for TLS sessions that are not old ones resumed."
    )
    smtpd_client_auth_rate_limit = count(
        "0", doc="The same for AUTH commands, whether or not they succeed."
    )
    anvil_rate_time_unit = time(
        "60s", low=1, doc="The time that rates of clients are counted over."
    )
    anvil_status_update_time = time(
        "600s",
        low=1,
        doc="How often the largest rates are logged.",
        status=Status.APPROXIMATED,
        note="Each process logs those it has seen, of events that are limited.",
    )
    smtpd_client_event_limit_exceptions = words(
        "$mynetworks", doc="Clients without such a limit."
    )
    smtpd_client_ipv4_prefix_length = count(
        "32", high=32, doc="Bits of an IPv4 address that make one client."
    )
    smtpd_client_ipv6_prefix_length = count(
        "84", high=128, doc="Bits of an IPv6 address that make one client."
    )

    # Restrictions.

    smtpd_relay_restrictions = words(
        "permit_mynetworks, permit_sasl_authenticated, defer_unauth_destination",
        kind="restrictions",
        doc="Who may relay, asked at RCPT. This list or "
        "smtpd_recipient_restrictions must refuse mail for domains that are not "
        "ours, or the server does not start.",
        status=Status.APPROXIMATED,
        note="Postfix has an empty default below compatibility level 1.",
    )
    smtpd_recipient_restrictions = words(
        "", kind="restrictions", doc="Other restrictions, asked at RCPT."
    )
    smtpd_relay_before_recipient_restrictions = boolean(
        "${{$compatibility_level} <level {3.6} ? {no} : {yes}}",
        doc="Which of the two lists comes first.",
    )
    smtpd_reject_unlisted_recipient = boolean(
        "yes", doc="Refuse unknown recipients even if no restriction says so."
    )
    local_header_rewrite_clients = words(
        "permit_inet_interfaces",
        kind="restrictions",
        doc="Clients whose message headers are completed and mapped like those of "
        "mail made here: permit_inet_interfaces, permit_mynetworks, "
        "permit_sasl_authenticated, type:table or check_address_map type:table with "
        "addresses of clients.",
    )
    allow_untrusted_routing = boolean(
        "no",
        doc="Let user%elsewhere@here and the like pass for mail for here.",
        status=Status.REFUSED,
        note="It makes an open relay of a server that trusts the next hop.",
    )
    reject_code = count("554", low=400, high=599, doc="Reply code of reject.")
    defer_code = count("450", low=400, high=499, doc="Reply code of defer.")
    relay_domains_reject_code = count(
        "554",
        low=400,
        high=599,
        doc="Reply code of reject_unauth_destination; defer_unauth_destination "
        "takes 100 less.",
    )
    unknown_local_recipient_reject_code = count(
        "550", low=400, high=599, doc="Reply code for an unknown local recipient."
    )
    unknown_relay_recipient_reject_code = count(
        "550", low=400, high=599, doc="The same for a domain in relay_domains."
    )
    unknown_virtual_mailbox_reject_code = count(
        "550",
        low=400,
        high=599,
        doc="The same for a domain in virtual_mailbox_domains.",
    )
    unknown_virtual_alias_reject_code = count(
        "550",
        low=400,
        high=599,
        doc="The same for a domain in virtual_alias_domains.",
    )

    # Not built yet: refused at start when set.

    smtpd_milters = words(
        "",
        doc="Content filters asked before the queue.",
        status=Status.NOT_YET,
        note="There are no milters yet.",
    )
    smtpd_proxy_filter = string(
        "",
        doc="A content filter before the queue that speaks SMTP.",
        status=Status.NOT_YET,
        note="There is no such filter yet.",
    )
