"""Payment platform of the National Public Service Portal: payment, result callback, bill lookup, query, receipt.

Run by the Government Office; redirects the payer to banks and wallets (contracts §7.1).
"""
