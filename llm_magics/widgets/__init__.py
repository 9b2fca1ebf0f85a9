"""Python halves of the widgets, one file each; the browser halves lie in `widgets/` at the top of
the repository.

A widget receives numbers, bytes and callbacks, never a tensor or a model, and what it shows is
always readable as a plain value in Python. `comm_route` keeps buttons working while a cell runs.
"""
