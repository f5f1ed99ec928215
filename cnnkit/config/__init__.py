"""The YAML file: its keys, how it is read and checked, and what follows from it without any data.

`schema` is the whole configuration, and `images`, `model`, `training` and `runtime` are its sections;
`choices` are the values that have names; `load` reads and writes a file, `yaml_tree` parses it, `versions`
gives old files their meaning, `validation` finds every problem, `checks` compares keys with each other;
`model` and `costs` say what follows for the network; `docs` makes the tables and the JSON Schema. Never loads
torch.
May import: `cnnkit.families` and the ground.
"""
