"""Who may call us: keys, grants, limits and the gate that decides."""
