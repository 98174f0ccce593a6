"""Leave out columns that should never be compared, such as ids, times and free text.

Set record_preprocessor_script to this file. Works for requests of flat JSON objects. For columns with
fixed names or positions the setting exclude_features_attribute does the same without a script; use this
one when the choice follows a pattern.
"""

import json
import re

EXCLUDED = re.compile(r".*_id|.*_at|comment", re.IGNORECASE)


def preprocess_handler(inference_record):
    request = json.loads(inference_record.endpoint_input.data)
    return {name: value for name, value in request.items() if not EXCLUDED.fullmatch(name)}
