"""What trackers are told of a run or a study, and the processes that bring it to them.

Imports everything below but the command line and `api`. A process of its own, `taker`, imports a tracker's
library and never torch.
"""
