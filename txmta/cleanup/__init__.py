"""
Content on its way into the queue: trace headers, missing headers, hop count.
"""
