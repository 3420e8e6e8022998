"""The words of the house, its settings, its storage and its book; everything else stands on this."""
