"""Sign-on of the National Public Service Portal, on a WSO2 identity server: OIDC, two shapes of user-info.

Run by the Government Office; here for officials and operators, not for a citizens' login (contracts §9).
"""
