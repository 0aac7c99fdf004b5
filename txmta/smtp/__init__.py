"""
Both ends of SMTP: engines without I/O, server, client.
"""
