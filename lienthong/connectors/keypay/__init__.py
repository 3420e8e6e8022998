"""KeyPay on the National Public Service Portal: still in older configurations; version 1 for old records only.

Superseded by the portal's payment platform (contracts §7.2).
"""
