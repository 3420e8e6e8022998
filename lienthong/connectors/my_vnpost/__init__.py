"""my.vnpost, the commercial interface of Vietnam Post: prices, orders, cancellations.

Run by Vietnam Post for its customers under contract (contracts §8.2).
"""
