"""
Daemons and processes: what has no place here, or is not there yet.

See L{txmta.config.later} for the form.
"""

from __future__ import annotations

from txmta.config.later import (
    flag,
    gone,
    idle,
    items,
    number,
    refuse,
    seconds,
    stop,
    text,
    warn,
)

SINGLE = idle("Each main.cf is started by itself.")
PARTS = idle("Parts of txmta find each other without names of services.")
LIMITS = idle("Parts of txmta have their own time limits and restarts.")
DEBUG = idle("There is no such help for debugging.")
MANY = warn("There is one instance for each main.cf: start another for another.")
FILES = idle("Part of the package, or not needed.")
LOG_FILES = warn("Log files are not rotated by txmta; their mode is fixed.")
TEXTS = warn("It changes texts and logs only.")
HIDES = warn("It changes what is logged, never what is done.")
QMQP = warn("There is no QMQP server; nothing comes in by it.")
ETRN = idle("No files are kept for it: the deferred queue is looked through.")
TABLES = idle("Berkeley DB files are not read.")
LIBRARY = warn("Tables are opened with limits of our own.")
KEEPS = stop(
    "it is for tests of Postfix, and mail would be kept or lost: remove the line"
)
FATAL = warn("A table that cannot be opened stops the start, always.")
COMPUTED = refuse("It is computed: remove the line.")
OLD = gone("Nothing asks for it any more.")
DATA = idle("Other programs learn it from here; nothing here depends on it.")
ENDINGS = warn("sendmail takes both kinds of line ends.")
LONG_IDS = warn("Queue ids are never used again in any case.")
READERS = idle("Every table that is written is written by its owner.")


class Processes:
    """
    Postfix: C{src/master}, C{src/global}.
    """

    alternate_config_directories = items(
        "", MANY, "Directories that set-gid commands may be told with -c."
    )
    application_event_drain_time = seconds(
        "100s", LIMITS, "How long a daemon finishes what it has begun.", low=1
    )
    connection_cache_protocol_timeout = seconds(
        "5s", LIMITS, "Time for each step with scache.", low=1
    )
    connection_cache_service_name = text(
        "scache", PARTS, "The service that keeps connections."
    )
    connection_cache_status_update_time = seconds(
        "600s", LIMITS, "How often scache logs its figures.", low=1
    )
    connection_cache_ttl_limit = seconds(
        "2s", LIMITS, "How long scache keeps a connection at most.", low=1
    )
    error_service_name = text(
        "error", PARTS, "The service that returns mail for a reason given."
    )
    flush_service_name = text(
        "flush", PARTS, "The service that knows which mail ETRN is about."
    )
    pickup_service_name = text(
        "pickup", PARTS, "The service that takes mail out of maildrop."
    )
    postlog_service_name = text(
        "postlog", PARTS, "The service that writes the log file."
    )
    proxymap_service_name = text(
        "proxymap", PARTS, "The service that reads tables for others."
    )
    proxywrite_service_name = text(
        "proxywrite", PARTS, "The service that writes tables for others."
    )
    showq_service_name = text("showq", PARTS, "The service that lists the queue.")
    daemon_table_open_error_is_fatal = flag(
        "no", FATAL, "Whether a daemon ends when it cannot open a table."
    )
    daemon_timeout = seconds(
        "18000s", LIMITS, "Time for one request, then a daemon is ended.", low=1
    )
    delay_logging_resolution_limit = number(
        "2", TEXTS, "Digits after the point in delays that are logged."
    )
    fast_flush_purge_time = seconds(
        "7d", ETRN, "How long an unused file of such a domain is kept.", unit="d", low=1
    )
    fast_flush_refresh_time = seconds(
        "12h", ETRN, "How often such a file is made anew.", unit="h", low=1
    )
    fork_attempts = number("5", LIMITS, "How often making a process is tried.", low=1)
    fork_delay = seconds("1s", LIMITS, "Pause between.", low=1)
    ipc_idle = seconds(
        "5s", LIMITS, "How long an unused connection between daemons is kept."
    )
    ipc_timeout = seconds("3600s", LIMITS, "Time for each step between daemons.", low=1)
    ipc_ttl = seconds(
        "1000s", LIMITS, "How long a connection between daemons is used.", low=1
    )
    max_idle = seconds(
        "100s", LIMITS, "How long a daemon waits for work before it ends.", low=1
    )
    process_id_directory = text(
        "pid", FILES, "Directory of lock files, below queue_directory."
    )
    process_id = text("", COMPUTED, "The number of the process.")
    process_name = text("", COMPUTED, "The name of the program.")
    service_name = text("", COMPUTED, "The name of the service in master.cf.")
    service_throttle_time = seconds(
        "60s", LIMITS, "How long a service rests whose process failed at once.", low=1
    )
    trigger_timeout = seconds("10s", LIMITS, "Time to wake another daemon.", low=1)
    postlogd_watchdog_timeout = seconds(
        "10s", LIMITS, "Time for one operation of postlogd, then it ends itself.", low=1
    )
    tcp_windowsize = number(
        "0",
        LIBRARY,
        "Octets that the kernel may have under way for a connection; 0 means it "
        "decides.",
    )
    qmqpd_authorized_clients = items("", QMQP, "Clients that may send mail by QMQP.")
    qmqpd_client_port_logging = flag("no", QMQP, "Log the port of such a client, too.")
    qmqpd_error_delay = seconds("1s", QMQP, "Pause before a refusal.", low=1)
    qmqpd_timeout = seconds(
        "300s", QMQP, "Time for each step with such a client.", low=1
    )


class Tables:
    """
    Postfix: C{src/util/dict_*.c}, C{src/proxymap}.
    """

    berkeley_db_create_buffer_size = number(
        "16777216", TABLES, "Memory for making a hash or btree file."
    )
    berkeley_db_read_buffer_size = number("131072", TABLES, "Memory for reading one.")
    default_cache_db_type = text(
        "hash", READERS, "The type of tables that caches are kept in."
    )
    lmdb_map_size = number(
        "16777216", LIBRARY, "The size that a new lmdb file begins with."
    )
    non_bdb_custom_mapping = items(
        "",
        TABLES,
        "Which types stand for hash and btree where there is no Berkeley DB.",
    )
    non_bdb_migration_allow_root_prefixes = items(
        "", TABLES, "Directories where root's files may be made anew."
    )
    non_bdb_migration_allow_user_prefixes = items(
        "", TABLES, "Directories where users' files may be made anew."
    )
    non_bdb_migration_level = text(
        "disable",
        TABLES,
        "Whether files of types without a library are made anew in another.",
    )
    non_bdb_migration_log_redirect = flag(
        "yes", TABLES, "Log it when another type is used."
    )
    non_bdb_migration_service_name = text(
        "nbdb_reindex", TABLES, "The service that makes such files anew."
    )
    proxy_write_maps = items(
        "$smtp_sasl_auth_cache_name $lmtp_sasl_auth_cache_name $address_verify_map "
        "$postscreen_cache_map",
        READERS,
        "Tables that proxywrite may write.",
    )
    socketmap_max_query_size = number(
        "10000", LIBRARY, "Octets of a question to a socketmap server.", low=1
    )
    socketmap_max_reply_size = number("100000", LIBRARY, "Octets of its answer.", low=1)


class Odds:
    """
    Postfix: C{src/global/mail_params.h}.
    """

    debug_peer_level = number(
        "2", DEBUG, "How much more is logged for hosts in debug_peer_list.", low=1
    )
    debugger_command = text("", DEBUG, "Command for a daemon with -D in master.cf.")
    dont_remove = number(
        "0", KEEPS, 'Keep mail in the queue directory "saved" when it is done.'
    )
    fault_injection_code = number("0", KEEPS, "Which fault is made, for tests.")
    enable_long_queue_ids = flag("no", LONG_IDS, "Queue ids that are never used again.")
    domain_to_ascii = text(
        "no default", COMPUTED, "A function in values: the ASCII form of a domain."
    )
    html_directory = text(
        "/usr/share/doc/postfix/html", FILES, "Where Postfix's documentation is."
    )
    info_log_address_format = text(
        "external", HIDES, "How addresses with special characters are logged."
    )
    mail_release_date = text("20240304", DATA, "When this release was made.")
    mail_version = text(
        "3.7.11", DATA, "The version that is said where $mail_version stands."
    )
    maillog_file_compressor = text(
        "gzip", LOG_FILES, "Command that compresses an old log file."
    )
    maillog_file_permissions = text("0600", LOG_FILES, "Mode of a new log file.")
    maillog_file_rotate_suffix = text(
        "%Y%m%d-%H%M%S", LOG_FILES, "What is added to the name of an old log file."
    )
    mailq_path = text("/usr/bin/mailq", FILES, "Where Postfix's mailq is.")
    manpage_directory = text(
        "/usr/share/man", FILES, "Where Postfix's manual pages are."
    )
    meta_directory = text(
        "/etc/postfix", FILES, "Where files on Postfix's installation are."
    )
    newaliases_path = text(
        "/usr/bin/newaliases", FILES, "Where Postfix's newaliases is."
    )
    readme_directory = text(
        "/usr/share/doc/postfix", FILES, "Where Postfix's README files are."
    )
    sample_directory = text("/etc/postfix", FILES, "Where Postfix's sample files are.")
    sendmail_path = text("/usr/sbin/sendmail", FILES, "Where Postfix's sendmail is.")
    shlib_directory = text("/usr/lib/postfix", FILES, "Where Postfix's libraries are.")
    multi_instance_directories = items("", MANY, "Directories of further instances.")
    multi_instance_enable = flag(
        "no", SINGLE, "Whether this instance is started with the others."
    )
    multi_instance_group = text("", MANY, "The group of instances that this one is in.")
    multi_instance_wrapper = text(
        "", MANY, 'The command that "postfix start" and others go through.'
    )
    postmulti_control_commands = items(
        "reload flush", MANY, "Commands that are for running instances only."
    )
    postmulti_start_commands = items("start", MANY, "Commands that start an instance.")
    postmulti_stop_commands = items(
        "stop abort drain quick-stop", MANY, "Commands that stop one."
    )
    respectful_logging = flag(
        "${{$compatibility_level} <level {3.6} ? {no} : {yes}}",
        TEXTS,
        "Say allowlist and denylist in the log.",
    )
    sendmail_fix_line_endings = text(
        "always", ENDINGS, "Whether sendmail turns CR LF into LF."
    )
    sun_mailtool_compatibility = flag(
        "no", OLD, "A work-around for locks of an old program."
    )
