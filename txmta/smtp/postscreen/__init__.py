"""
Tests before and after the greeting, before smtpd sees a client (Postfix: postscreen).
"""
