"""PayGov: payment gateway of the former Ministry of Information and Communications, reached through an LGSP.

Redirects the payer to banks and wallets; two forms are known, with a checksum and without (contracts §7.3).
"""
