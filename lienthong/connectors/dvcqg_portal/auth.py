"""Nothing to attach: the portal's public interface asks for no account (contracts §2.4).

The file stands so that every connector has the same five; an agreed channel would bring its credentials here.
"""
