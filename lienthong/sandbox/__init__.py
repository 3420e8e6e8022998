"""Imitations of the national systems, with their good and their bad days.

Written from the contract page alone; imports nothing of the house, so that a wrong mapping
cannot agree with itself.
"""
