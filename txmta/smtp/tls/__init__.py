"""
TLS of the SMTP server.
"""
