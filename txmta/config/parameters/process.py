"""
Processes, queue directory, log.
"""

from __future__ import annotations

import re

from txmta.config.declare import Status, choice, count, string, words

_DIRECTORY_NOTE = "Part of the package; txmta needs no daemon programs of its own."


def _absolute(text: str) -> str:
    if not text.startswith("/"):
        raise ValueError("is not an absolute path: write it from / on")
    return text.rstrip("/") or "/"


def _log_file(text: str) -> str:
    if text and not text.startswith("/"):
        raise ValueError("is not an absolute path: write it from / on, or leave empty")
    return text


def _account(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z_0-9][\w.-]{0,63}\$?", text):
        raise ValueError("is not the name of an account")
    return text


def _store(text: str) -> str:
    if text != "sqlite":
        raise ValueError("is no queue store of this version: write sqlite")
    return text


def _model(text: str) -> str:
    if text not in ("auto", "single", "multi"):
        raise ValueError("is none of auto, single, multi")
    return text


class ProcessParameters:
    """
    Postfix: C{master}, C{postlogd}.
    """

    queue_directory = string(
        "/var/spool/txmta",
        check=_absolute,
        doc="Where the queue is. One server per queue.",
        status=Status.APPROXIMATED,
        note="Postfix: /var/spool/postfix. Ours is another directory, so that both "
        "can be installed; its contents are not those of a Postfix queue.",
    )
    data_directory = string(
        "/var/lib/txmta",
        check=_absolute,
        doc="Where caches are kept that may be lost.",
        status=Status.APPROXIMATED,
        note="Postfix: /var/lib/postfix.",
    )
    config_directory = string(
        "/etc/txmta",
        doc="Where main.cf is.",
        status=Status.APPROXIMATED,
        note="Always the directory of the main.cf in use.",
    )
    mail_owner = string(
        "postfix",
        check=_account,
        doc="The account that owns the queue. Started as root, txmta becomes this "
        "account for good once it listens, or all its processes but the master and "
        "local do, if it has several; started as another user, it runs as that "
        "user, and this name counts for nothing.",
    )
    setgid_group = string(
        "postdrop",
        check=_account,
        doc="The group of the maildrop directory, and so of what is handed in there.",
        status=Status.APPROXIMATED,
        note="No command of ours is set-gid: everybody may write into maildrop, and "
        "nobody but the mail system may list it. Counts when started as root.",
    )
    authorized_submit_users = words(
        "static:anyone",
        doc="Login names that may hand in mail with sendmail: names, /file, "
        "type:table, ! for those that may not.",
        status=Status.APPROXIMATED,
        note="sendmail says so; pickup removes what comes in another way.",
    )
    authorized_mailq_users = words(
        "static:anyone",
        doc="Login names that may list the queue: names, /file, type:table, ! for "
        "those that may not.",
        status=Status.APPROXIMATED,
        note="No command of ours is set-gid: who is neither root nor mail_owner must "
        "be in setgid_group, too.",
    )
    authorized_flush_users = words(
        "static:anyone",
        doc="The same for those that may have deferred mail tried at once.",
        status=Status.APPROXIMATED,
        note="As authorized_mailq_users.",
    )
    fast_flush_domains = words(
        "$relay_domains",
        doc="Domains whose mail can be tried at once with postqueue -s.",
        status=Status.APPROXIMATED,
        note="No files are kept for it: the deferred queue is looked through.",
    )
    default_privs = string(
        "nobody",
        check=_account,
        doc="The account with whose rights commands are run and files written that "
        "the superuser's aliases name, and root's .forward file.",
    )
    cleanup_service_name = string(
        "cleanup",
        doc="Of a service that takes mail: the service with the program cleanup in "
        "master.cf whose -o count for what it takes.",
    )
    rewrite_service_name = string(
        "rewrite",
        doc="The service with the program trivial-rewrite in master.cf whose -o count "
        "for completing and resolving addresses.",
        status=Status.APPROXIMATED,
        note="The same for all services; -o that names another one with other -o "
        "stops the start.",
    )
    master_service_disable = words(
        "",
        doc="Services of master.cf that are turned off: a type, or name/type; with ! "
        "not that one. The first that matches counts.",
    )
    syslog_name = string(
        "${multi_instance_name?{$multi_instance_name}:{postfix}}",
        doc="Put before the program in log lines.",
    )
    syslog_facility = choice(
        "mail",
        (
            *("auth", "authpriv", "cron", "daemon", "ftp", "kern", "lpr", "mail"),
            *("news", "security", "syslog", "user", "uucp"),
            *(f"local{n}" for n in range(8)),
        ),
        doc="The syslog facility, when maillog_file is empty.",
    )
    maillog_file = string(
        "",
        check=_log_file,
        doc="The mail log; empty means syslog; /dev/stdout for a container.",
    )
    maillog_file_prefixes = words(
        "/var /dev/stdout",
        doc="What maillog_file must begin with, against mistakes.",
        status=Status.APPROXIMATED,
        note="Counts where main.cf sets it. Without it a log file may be anywhere: "
        "it is opened with the rights of mail_owner, and root makes one only in a "
        "directory that nobody else can change.",
    )
    multi_instance_name = string("", doc="The name of this instance, for its log.")
    process_model = string(
        "auto",
        check=_model,
        doc="How the roles are spread over processes: single puts all of them into "
        "the one twistd process; multi gives each its own, confined to what it "
        "needs, under a master; auto is multi when root starts the server, else "
        "single.",
        note="A parameter of txmta, not of Postfix.",
    )
    processes_per_role = count(
        "0",
        high=100,
        doc="Processes of smtpd, and of smtp, with process_model = multi; 0: one for "
        "two cores.",
        note="A parameter of txmta, not of Postfix. maxproc in master.cf is another "
        "matter: sessions and deliveries of a service.",
    )
    queue_store = string(
        "sqlite",
        check=_store,
        doc="What keeps the queue.",
        note="A parameter of txmta, not of Postfix.",
    )
    proxy_read_maps = words(
        "$local_recipient_maps $mydestination $virtual_alias_maps "
        "$virtual_alias_domains $virtual_mailbox_maps "
        "$virtual_mailbox_domains $relay_recipient_maps $relay_domains "
        "$canonical_maps $sender_canonical_maps $recipient_canonical_maps "
        "$relocated_maps $transport_maps $mynetworks "
        "$smtpd_sender_login_maps $sender_bcc_maps $recipient_bcc_maps "
        "$smtp_generic_maps $lmtp_generic_maps $alias_maps "
        "$smtpd_client_restrictions $smtpd_helo_restrictions "
        "$smtpd_sender_restrictions $smtpd_relay_restrictions "
        "$smtpd_recipient_restrictions "
        "$address_verify_sender_dependent_default_transport_maps "
        "$address_verify_sender_dependent_relayhost_maps "
        "$address_verify_transport_maps $fallback_transport_maps "
        "$lmtp_discard_lhlo_keyword_address_maps $lmtp_pix_workaround_maps "
        "$lmtp_sasl_password_maps $lmtp_tls_policy_maps "
        "$mailbox_command_maps $mailbox_transport_maps "
        "$postscreen_discard_ehlo_keyword_address_maps $rbl_reply_maps "
        "$sender_dependent_default_transport_maps "
        "$sender_dependent_relayhost_maps "
        "$smtp_discard_ehlo_keyword_address_maps $smtp_pix_workaround_maps "
        "$smtp_sasl_password_maps $smtp_tls_policy_maps "
        "$smtpd_discard_ehlo_keyword_address_maps $smtpd_milter_maps "
        "$virtual_gid_maps $virtual_uid_maps $local_login_sender_maps "
        "$postscreen_reject_footer_maps $smtpd_reject_footer_maps "
        "$tls_server_sni_maps $tlsproxy_client_policy_maps "
        "$default_delivery_status_filter $lmtp_delivery_status_filter "
        "$lmtp_dns_reply_filter $lmtp_reply_filter "
        "$local_delivery_status_filter $pipe_delivery_status_filter "
        "$postscreen_command_filter $smtp_delivery_status_filter "
        "$smtp_dns_reply_filter $smtp_reply_filter $smtpd_command_filter "
        "$smtpd_dns_reply_filter $virtual_delivery_status_filter "
        "$body_checks $header_checks $lmtp_body_checks $lmtp_header_checks "
        "$lmtp_mime_header_checks $lmtp_nested_header_checks "
        "$milter_header_checks $mime_header_checks $nested_header_checks "
        "$smtp_body_checks $smtp_header_checks $smtp_mime_header_checks "
        "$smtp_nested_header_checks",
        doc="Tables that may be asked for as proxy:type:name: those items that begin "
        "with proxy:. Others refuse the start.",
        status=Status.APPROXIMATED,
        note="With process_model = single the limit is the same, and each table is "
        "opened in the one process.",
    )
    default_process_limit = count(
        "100",
        low=1,
        doc="Deliveries at once of an agent whose maxproc in master.cf is -.",
        status=Status.APPROXIMATED,
        note="smtpd with maxproc - has no limit but that of open files.",
    )
    daemon_directory = string(
        "/usr/lib/postfix/sbin",
        doc="Where Postfix has its daemon programs.",
        status=Status.NO_EFFECT,
        note=_DIRECTORY_NOTE,
    )
    command_directory = string(
        "/usr/sbin",
        doc="Where Postfix has its commands.",
        status=Status.NO_EFFECT,
        note=_DIRECTORY_NOTE,
    )
    max_use = count(
        "100",
        doc="Requests that a Postfix daemon serves before it ends.",
        status=Status.NO_EFFECT,
        note="Our roles do not end.",
    )
