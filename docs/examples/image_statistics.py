"""Images in captures become columns that the data-quality monitor compares.

Set record_preprocessor_script to this file, in an image that has Pillow (docs/examples/Dockerfile). Of each
request it reads the image: its size, how bright it is, and how sharp (the deviation of the edges: low for a
blurred one). Of the answer it takes the class with the highest score, if there are scores.
"""

import base64
import io
import json

from PIL import Image, ImageFilter, ImageStat


def preprocess_handler(inference_record):
    request = inference_record.endpoint_input
    data = request.data if isinstance(request.data, bytes) else request.data.encode()
    if request.encoding == "BASE64":
        data = base64.b64decode(data)
    with Image.open(io.BytesIO(data)) as image:
        grey = image.convert("L")
        columns = {
            "width": image.width,
            "height": image.height,
            "brightness": ImageStat.Stat(grey).mean[0],
            "sharpness": ImageStat.Stat(grey.filter(ImageFilter.FIND_EDGES)).stddev[0],
        }
    answer = inference_record.endpoint_output
    scores = json.loads(answer.data) if answer is not None else None
    if isinstance(scores, list) and scores:
        columns["class"] = f"class {scores.index(max(scores))}"
        columns["score"] = max(scores)
    return columns
