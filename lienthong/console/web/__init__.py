"""The desks: server-rendered pages for operators, security officers, key managers, auditors, administrators."""
