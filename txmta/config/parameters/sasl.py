"""
SASL authentication, as far as it is not there.

See L{txmta.config.later} for the form.
"""

from __future__ import annotations

from txmta.config.later import gone, idle, items, text

CYRUS = idle("Cyrus SASL is not here; see smtpd_sasl_type.")
OLD = gone("Write smtpd_sasl_path.")


class SmtpdSasl:
    """
    Postfix: C{smtpd/smtpd_sasl_*.c}, C{src/xsasl}.
    """

    cyrus_sasl_config_path = items(
        "", CYRUS, "Directories with configuration files of Cyrus SASL."
    )
    smtpd_sasl_application_name = text("smtpd", OLD, "The old name of smtpd_sasl_path.")
