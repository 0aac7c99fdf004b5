"""
Policy servers.
"""

from __future__ import annotations

from txmta.config.declare import count, string, time


class SmtpdPolicyParameters:
    """
    Postfix: C{smtpd/smtpd_check.c}; each for servers that do not say otherwise in
    check_policy_service { inet:host:port, timeout=10s ... }.
    """

    smtpd_policy_service_default_action = string(
        "451 4.3.5 Server configuration problem",
        doc="The action when a policy server cannot be asked.",
    )
    smtpd_policy_service_max_idle = time(
        "300s",
        low=1,
        doc="How long an unused connection to a policy server is kept.",
    )
    smtpd_policy_service_max_ttl = time(
        "1000s", low=1, doc="How long a connection to a policy server is used."
    )
    smtpd_policy_service_policy_context = string(
        "", doc="A word for the policy server, to tell services apart."
    )
    smtpd_policy_service_request_limit = count(
        "0", doc="Requests over one connection; 0 means no limit."
    )
    smtpd_policy_service_retry_delay = time(
        "1s", low=1, doc="Pause before a request is tried again."
    )
    smtpd_policy_service_timeout = time("100s", low=1, doc="Time for the answer.")
    smtpd_policy_service_try_limit = count(
        "2", low=1, doc="How often a request is tried."
    )
