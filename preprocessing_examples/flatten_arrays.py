"""Give every element of an array in the response a column of its own.

Set record_preprocessor_script to this file. Expects the response {"probabilities": [0.1, 0.7, 0.2]}
and the request as CSV. Change the two names below to what your endpoint sends.
"""

import json

ARRAY = "probabilities"
COLUMN = "probability"


def preprocess_handler(inference_record):
    response = json.loads(inference_record.endpoint_output.data)
    features = inference_record.endpoint_input.data.rstrip("\n").split(",")

    # Columns are sorted by name, so numbers are padded: "probability_2" would come after "probability_10".
    row = {f"{COLUMN}_{position:03d}": value for position, value in enumerate(response[ARRAY])}
    row |= {f"feature_{position:03d}": value for position, value in enumerate(features)}
    return row
