"""The YAML file: its keys, how it is read and checked, and what follows from it without any data.

`schema` holds the keys, `load` reads a file, `checks` compares keys with each other, `geometry` computes
grids and costs, `docs` makes the tables and the JSON Schema. Never loads torch.
May import: `cnnkit.families` and the ground.
"""
