"""Turn long inputs (embeddings, images, texts) into a few columns that can be explained one by one.

Set record_preprocessor_script to this file in monitor-feature-attribution, for the baseline and for
monitoring. Expects requests such as {"embedding": [0.1, ...], "text": "First sentence. Second one."}.

Every column holds a part of the input as text, so nothing is lost: `join` puts parts together again. Have the
model's input_fn (or a small server in front of the model) call it; then the real model is asked what it would
say if some parts were those of the baseline, and each part gets its share of the prediction. Regions of an
image work the same way: one column for each region's bytes in base64.
"""

import json

BLOCKS = 4
SENTENCES = 2


def preprocess_handler(inference_record):
    return split(json.loads(inference_record.endpoint_input.data))


def split(request):
    embedding = request["embedding"]
    size = -(-len(embedding) // BLOCKS)
    row = {}
    for number in range(BLOCKS):
        block = embedding[number * size : (number + 1) * size]
        row[f"block_{number}"] = " ".join(map(repr, block))
    # Longer texts keep what follows in the last column.
    sentences = request["text"].split(". ", SENTENCES - 1)
    for number in range(SENTENCES):
        row[f"sentence_{number}"] = sentences[number] if number < len(sentences) else ""
    return row


def join(row):
    embedding = [float(value) for number in range(BLOCKS) for value in row[f"block_{number}"].split()]
    text = ". ".join(filter(None, (row[f"sentence_{number}"] for number in range(SENTENCES))))
    return {"embedding": embedding, "text": text}
