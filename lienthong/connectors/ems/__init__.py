"""EMS, the express post: orders, tracking, and calls that tell of events.

Run by EMS Vietnam, a company of Vietnam Post (contracts §8.3).
"""
