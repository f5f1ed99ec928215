"""What a person imports: `import cnnkit` hands on the functions and classes of this package.

May import: everything but `cnnkit.cli`.
"""
