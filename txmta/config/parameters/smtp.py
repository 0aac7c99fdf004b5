"""
The SMTP client.
"""

from __future__ import annotations


class SmtpParameters:
    """
    Postfix: C{src/smtp}.
    """
