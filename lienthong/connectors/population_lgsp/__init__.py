"""National Population Database through a provincial integration platform (LGSP): verify and look up.

Run by the province or its contractor; header recipe LGSP-1 and the variants of contracts §5.5.
"""
