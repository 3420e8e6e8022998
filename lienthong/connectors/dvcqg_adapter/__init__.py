"""National Public Service Portal, generation A (`mapi`): catalogue of procedures in, dossiers and progress out.

Run by the Government Office; reached through the member's own exchange adapter (contracts §2.1, §3).
"""
