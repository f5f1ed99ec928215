"""Many runs: which value of a key wins, by how much, and whether the difference is real.

`study` plans, `runner` trains what is missing, `results` computes every number from the kept files alone.
May import: `cnnkit.experiment` and the layers below it.
"""
