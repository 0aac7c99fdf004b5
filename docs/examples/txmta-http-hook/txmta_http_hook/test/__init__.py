"""
C{trial txmta_http_hook}
"""
