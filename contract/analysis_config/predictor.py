"""The ``predictor`` of an analysis configuration: how the model is asked."""

from __future__ import annotations

import re
from typing import Any, get_args

from contract.analysis_config.json_object import JsonObject
from contract.analysis_config.members import ContentType, PredictorConfig

# The names of endpoints begin with it, and have room for 63 characters.
_PREFIX = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,21}[a-zA-Z0-9])?")
_REFUSED = dict.fromkeys(
    ("image/jpeg", "image/png", "application/x-npy"), "images, but only tabular data is analysed"
)


def read_predictor(members: JsonObject | None) -> PredictorConfig | None:
    """Read ``predictor``, noting mistakes; None when absent."""
    if members is None:
        return None
    members.refuse("time_series_predictor_config", "time series")
    predictor = PredictorConfig(
        endpoint_name=members.text("endpoint_name"),
        endpoint_name_prefix=_endpoint_name_prefix(members),
        model_name=members.text("model_name"),
        target_model=members.text("target_model"),
        instance_type=members.text("instance_type"),
        initial_instance_count=members.whole_number("initial_instance_count", 1),
        accelerator_type=members.text("accelerator_type"),
        content_type=members.choice("content_type", get_args(ContentType), _REFUSED),
        accept_type=members.choice("accept_type", get_args(ContentType)),
        label=members.locator("label"),
        probability=members.locator("probability"),
        label_headers=members.values("label_headers", _is_header, "texts and whole numbers"),
        content_template=_content_template(members),
        record_template=members.text("record_template"),
        custom_attributes=members.text("custom_attributes"),
    )
    _check_templates(predictor, members)
    members.finish()
    return predictor


def _endpoint_name_prefix(members: JsonObject) -> str | None:
    prefix = members.text("endpoint_name_prefix")
    if prefix is not None and not _PREFIX.fullmatch(prefix):
        members.wrong("endpoint_name_prefix", "at most 23 letters, digits and hyphens within", '"sm-clarify"')
        return None
    return prefix


def _is_header(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def _content_template(members: JsonObject) -> str | dict[str, str] | None:
    template = members.raw("content_template")
    if template is None or (isinstance(template, str) and template):
        return template
    if isinstance(template, dict) and all(isinstance(part, str) for part in template.values()):
        return dict(template)
    members.wrong("content_template", "text, or an object of texts", '"{\\"features\\":$features}"')
    return None


def _check_templates(predictor: PredictorConfig, members: JsonObject) -> None:
    """Note templates without the tokens that they are filled by."""
    template = predictor.content_template
    if not isinstance(template, str):
        return
    place = members.place("content_template")
    if predictor.content_type == "application/jsonlines" and "$features" not in template:
        members.mistakes.add(f'{place} has no $features; write for example "{{\\"features\\":$features}}"')
    if predictor.content_type == "application/json":
        if "$record" not in template:
            members.mistakes.add(f'{place} has no $records; write for example "{{\\"instances\\":$records}}"')
        elif predictor.record_template is None:
            members.mistakes.add(
                f"{members.place('record_template')} is missing beside content_template; "
                'write for example "{\\"features\\":$features}"'
            )
