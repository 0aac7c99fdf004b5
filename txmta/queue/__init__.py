"""
The queue: store, manager, scheduler, bounces.
"""
