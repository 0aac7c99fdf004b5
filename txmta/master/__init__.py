"""
What happens once, around the services: privileges, locks, sockets.
"""
