"""Tell another system what the job found.

Set post_analytics_processor_script to this file: postprocess_handler runs once, when all files are
written. It posts a short JSON summary of constraint_violations.json to the address in BUSINESS_API_URL,
with the token in BUSINESS_API_TOKEN if there is one. If the call fails, the job fails; catch the error
if you would rather have it go on.
"""

import json
import os
import pathlib
import urllib.request
from collections import Counter

TIMEOUT_SECONDS = 30


def postprocess_handler(logger):
    settings = os.environ  # the job's settings, under the names they are documented with
    folder = pathlib.Path(settings.get("output_path", "/opt/ml/processing/output"))
    report = folder / "constraint_violations.json"
    if not report.exists():
        logger.info("a baseline job finds no violations; nothing to send")
        return
    violations = json.loads(report.read_text())["violations"]
    summary = {
        "endpoint": settings.get("sagemaker_endpoint_name"),
        "window_start": settings.get("start_time"),
        "violations": len(violations),
        "by_check": dict(Counter(violation["constraint_check_type"] for violation in violations)),
        "features": sorted({violation["feature_name"] for violation in violations}),
    }
    request = urllib.request.Request(  # noqa: S310 - the address is your own
        settings["BUSINESS_API_URL"],
        data=json.dumps(summary).encode(),
        headers={"Content-Type": "application/json"},
    )
    if token := settings.get("BUSINESS_API_TOKEN"):
        request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310 - likewise
        logger.info("sent %d violations, answer %d", len(violations), response.status)
