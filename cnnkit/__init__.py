"""cnnkit: build, train and compare small convolutional networks from a YAML file."""

__version__ = "0.1.0"
