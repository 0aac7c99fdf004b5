"""
Restrictions: who may send what to whom (Postfix: smtpd_check.c).
"""
