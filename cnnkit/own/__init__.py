"""A person's own poolings, heads and activations: named, read without running, kept, and run when trusted.

`names` says what names one; `sources` finds and keeps its text; `declared` reads the class from the text;
`code` runs it. All but `code` execute nothing of a person's. Loads no torch.
May import: the other modules on the ground.
"""
