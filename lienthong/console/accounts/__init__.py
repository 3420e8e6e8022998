"""Who may sit at the desks: accounts, their roles and second step, sessions, and the limit on tries to sign in."""
