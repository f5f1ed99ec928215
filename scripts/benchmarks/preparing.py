"""Seconds to list and prepare a folder of images, with an empty cache, once all that it needs is imported."""

import os
import tempfile
import time
from pathlib import Path

from benchmarks import images, reference
from cnnkit.config.load import load_config
from cnnkit.data.prepare import load_data


def main() -> None:
    folder: Path = reference.folder_parser().parse_args().folder
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        started = time.perf_counter()
        load_data(load_config(images.CONFIG, images.overrides(folder)).data)
        print(f'\n{{"value": {time.perf_counter() - started}}}')


if __name__ == "__main__":
    main()
