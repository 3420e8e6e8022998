"""Liên thông: the data bus of a Vietnamese province (LGSP)."""
