"""The door: from a socket to an operation and back to an answer."""
