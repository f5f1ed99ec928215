"""`cnnkit probe`: what the kept weights of a study do with images that are moved, worn or hidden, and where
in the network information goes; measured without training again."""
