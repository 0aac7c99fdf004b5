"""
The SMTP server.
"""

from __future__ import annotations


class SmtpdParameters:
    """
    Postfix: C{src/smtpd}.
    """
