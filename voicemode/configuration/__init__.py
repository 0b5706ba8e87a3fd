"""The configuration: the table of variables, and how it is read. Pure."""
