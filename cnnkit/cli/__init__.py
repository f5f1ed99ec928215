"""The commands: parse, call `cnnkit.api`, print, return an exit code.

May import: everything. Only this package prints.
"""
