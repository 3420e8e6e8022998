"""One file for each thing that the hub does; decisions about administrative work are taken here."""
