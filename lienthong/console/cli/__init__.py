"""The command line `lienthong`: one module for each group of commands."""
