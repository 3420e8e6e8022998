"""Where people sit: the command line, and the web desks."""
