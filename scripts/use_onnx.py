"""Classifies images with a file of `cnnkit export`, without cnnkit: python use_onnx.py FILE.onnx IMAGE...

Needs numpy, onnxruntime and Pillow. Handwriting must look like the training images: light on black, centred.
"""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

session = onnxruntime.InferenceSession(sys.argv[1])
told = session.get_modelmeta().custom_metadata_map
names, (channels, height, width) = json.loads(told["class_names"]), json.loads(told["input_shape"])
fit = {"cover": ImageOps.fit, "contain": ImageOps.pad}.get(told.get("fit"), Image.Image.resize)
for path in sys.argv[2:]:
    image = ImageOps.exif_transpose(Image.open(path)).convert("L" if channels == 1 else "RGB")
    pixels = np.asarray(fit(image, (width, height), Image.Resampling.BILINEAR))
    pixels = pixels.reshape(1, height, width, channels).transpose(0, 3, 1, 2)
    kind = np.uint8 if told["pixels"].startswith("uint8") else np.float32
    (shares,) = session.run(["probabilities"], {"images": pixels.astype(kind)})[0]
    print(f"{path}  {names[shares.argmax()]}  {shares.max():.1%}")
