"""
The SMTP server.
"""
