"""The files in which the data sets are published, and where cnnkit itself fetches some of them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedFile:
    """name: without `.gz`. dimensions: how many the values of an IDX file have; 0: another format."""

    name: str
    dimensions: int = 0


@dataclass(frozen=True)
class Download:
    """A published file, or an archive of files, and its published MD5 sum."""

    url: str
    md5: str


MNIST_FILES = {
    "train_images": PublishedFile("train-images-idx3-ubyte", 3),
    "train_labels": PublishedFile("train-labels-idx1-ubyte", 1),
    "test_images": PublishedFile("t10k-images-idx3-ubyte", 3),
    "test_labels": PublishedFile("t10k-labels-idx1-ubyte", 1),
}
QMNIST_FILES = {
    "train_images": PublishedFile("qmnist-train-images-idx3-ubyte", 3),
    "train_labels": PublishedFile("qmnist-train-labels-idx2-int", 2),
    "test_images": PublishedFile("qmnist-test-images-idx3-ubyte", 3),
    "test_labels": PublishedFile("qmnist-test-labels-idx2-int", 2),
}


def emnist_files(part: str) -> dict[str, PublishedFile]:
    """part: as its authors name it, such as "balanced"."""
    return {
        f"{split}_{kind}": PublishedFile(f"emnist-{part}-{split}-{kind}-idx{dimensions}-ubyte", dimensions)
        for split in ("train", "test")
        for kind, dimensions in (("images", 3), ("labels", 1))
    }


CIFAR10_ARCHIVE = Download(
    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530"
)
CIFAR10_FILES = {f"train_{number}": PublishedFile(f"data_batch_{number}.bin") for number in range(1, 6)} | {
    "test": PublishedFile("test_batch.bin")
}
CIFAR100_ARCHIVE = Download(
    "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8"
)
CIFAR100_FILES = {"train": PublishedFile("train.bin"), "test": PublishedFile("test.bin")}
SVHN_DOWNLOADS = (
    Download("http://ufldl.stanford.edu/housenumbers/train_32x32.mat", "e26dedcc434d2e4c54c9b2d4a06d8373"),
    Download("http://ufldl.stanford.edu/housenumbers/test_32x32.mat", "eb5a983be6a315427106f1b164d9cef3"),
)
SVHN_FILES = {"train": PublishedFile("train_32x32.mat"), "test": PublishedFile("test_32x32.mat")}
