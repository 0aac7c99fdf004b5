"""
Tests of the smtp delivery agent.
"""
