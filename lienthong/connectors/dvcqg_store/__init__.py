"""Electronic data store of citizens and organisations at the National Public Service Portal: search and fetch.

Run by the Government Office; called by officials, to use a settled dossier's result again (contracts §3.6).
"""
