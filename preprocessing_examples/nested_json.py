"""Pick values out of nested JSON, and make better features of them.

Set record_preprocessor_script to this file. Expects requests like
{"customer": {"age": 42, "address": {"country": "PT"}}, "basket": [{"price": 3.5}, {"price": 1.0}]}
and responses like {"score": 0.7}. Without a script every nested value becomes a column of its own
(customer.age, basket.0.price, ...); with one you say what matters.
"""

import json


def preprocess_handler(inference_record, logger):
    request = json.loads(inference_record.endpoint_input.data)
    response = json.loads(inference_record.endpoint_output.data)
    prices = [item["price"] for item in request.get("basket", [])]
    if not prices:
        # Shows in the job's log, with the name user_script.
        logger.info("empty basket in call %s", inference_record.event_metadata.event_id)
    customer = request.get("customer", {})
    return {
        "age": customer.get("age"),  # None counts as missing
        "basket_size": len(prices),
        "basket_value": sum(prices),
        "country": customer.get("address", {}).get("country"),
        "score": response["score"],
    }
