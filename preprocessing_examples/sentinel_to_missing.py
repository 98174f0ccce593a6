"""Count a placeholder such as -1 as what it stands for: a missing value.

Set record_preprocessor_script to this file. Works for CSV captures: the record itself is returned with
its request changed, so columns keep their place and their names. Use it for the baseline as well, or the
two will differ in completeness.
"""

# What producers of the data write when they do not know.
SENTINELS = {"-1", "-999", "unknown", "N/A"}


def preprocess_handler(inference_record):
    request = inference_record.endpoint_input
    lines = request.data.rstrip("\n").split("\n")
    request.data = "\n".join(
        ",".join("" if cell.strip() in SENTINELS else cell for cell in line.split(",")) for line in lines
    )
    return inference_record
