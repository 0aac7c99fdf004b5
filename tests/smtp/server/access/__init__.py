"""
Restrictions.
"""
