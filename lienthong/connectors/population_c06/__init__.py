"""National Population Database, asked by SOAP through the member's security server: verify and look up.

Run by C06 (Ministry of Public Security); header recipe C06-1 (contracts §5).
"""
