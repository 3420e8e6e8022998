"""Whom we call: one folder for each outside contract, and the border they share."""
