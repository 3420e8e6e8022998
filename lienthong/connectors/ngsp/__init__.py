"""NGSP: the national integration platform behind a WSO2 gateway: business register, shared catalogues (DMDC).

Run by the Ministry of Science and Technology; provincial mirrors keep the same names (contracts §6.2, §6.3).
"""
