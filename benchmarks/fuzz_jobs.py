"""Hostile documents, settings and scripts of otherwise valid jobs, and all of a model-quality job."""

from __future__ import annotations

import json
import random

from benchmarks.fuzz_case import CAPTURE, CSV, HEADERLESS, JSON, MERGE, Case, dataset_case
from benchmarks.fuzz_seeds import capture_seeds, csv_seeds, json_seeds, parquet_seeds, quality_table
from benchmarks.mutations import damage, damage_tree, json_bytes


def _document(generator: random.Random, name: str, seeds: dict[str, bytes]) -> Case:
    """Return a monitoring case whose document `name` is damaged; both documents come from a real job."""
    valid = seeds[name]
    if generator.random() < 0.7:
        data = json_bytes(damage_tree(json.loads(valid), generator))
    else:
        data = damage(valid, generator, [valid])
    files = {"data.csv": csv_seeds()[0], name: data}
    variables = {
        "dataset_source": "{folder}/data.csv",
        "dataset_format": CSV,
        "rules": generator.choice(("sound", "sagemaker")),
        f"baseline_{name.removesuffix('.json')}": f"{{folder}}/{name}",
    }
    other = "statistics" if name == "constraints.json" else "constraints"
    if generator.random() < 0.8:
        variables[f"baseline_{other}"] = f"{{folder}}/../table/{other}.json"
    if generator.random() < 0.3:
        variables["publish_cloudwatch_metrics"] = "Enabled"
        variables["cloudwatch_metrics_directory"] = "{folder}/output"
    return Case(files, variables, (name,), monitors=True)


# What baseline jobs wrote for `csv_seeds()[0]` and `quality_table()`, the latter with the kind of problem
# before the name; the worker fills it in before the first case.
documents: dict[str, bytes] = {}


def statistics_case(generator: random.Random) -> Case:
    """Return a monitoring case whose statistics.json is damaged."""
    return _document(generator, "statistics.json", documents)


def constraints_case(generator: random.Random) -> Case:
    """Return a monitoring case whose constraints.json is damaged."""
    return _document(generator, "constraints.json", documents)


_VALID_SETTINGS = {
    "dataset_format": CSV,
    "rules": "sound",
    "start_time": "2026-05-06T10:00:00Z",
    "end_time": "2026-05-06T11:00:00Z",
    "window": "PT1H",
    "start_time_offset": "-P3D",
    "end_time_offset": "-P1D",
    "exclude_features_attribute": "age,0",
    "categorical_drift_method": "LInfinity",
    "fail_on_violations": "Enabled",
    "publish_cloudwatch_metrics": "Disabled",
    "metric_time": "2026-05-06T10:00:00Z",
    "sagemaker_endpoint_name": "endpoint",
    "sagemaker_monitoring_schedule_name": "schedule",
    "analysis_type": "DATA_QUALITY",
    "workers": "2",
    "log_level": "ERROR",
    "monitoring_input_type": "ENDPOINT_INPUT",
}

_FORMATS = (CSV, HEADERLESS, JSON, CAPTURE, MERGE, "parquet", '{"csv":{"output_columns_position":"START"}}')


def settings_case(generator: random.Random) -> Case:
    """Return a case with some valid settings and one whose text or name is damaged."""
    names = generator.sample(sorted(_VALID_SETTINGS), generator.randrange(1, 6))
    variables = {name: _VALID_SETTINGS[name] for name in names}
    variables["dataset_format"] = generator.choice(_FORMATS) if generator.random() < 0.5 else CSV
    victim = generator.choice(sorted(variables))
    text = variables.pop(victim)
    if victim == "dataset_format" and generator.random() < 0.5 and text.startswith("{"):
        text = json.dumps(damage_tree(json.loads(text), generator))
    elif generator.random() < 0.85:
        text = damage(text.encode(), generator, [value.encode() for value in variables.values()]).decode(
            errors="surrogateescape"
        )
    else:
        victim = damage(victim.encode(), generator).decode(errors="surrogateescape")
    clean = str.maketrans("", "", "\0=")
    variables[victim.translate(clean) or "x"] = text.replace("\0", "")
    # The processor count of the machine must not bound how many threads a damaged number starts.
    if variables.get("workers", "1").isdecimal():
        variables["workers"] = str(min(64, int(variables.get("workers", "1")[:9])))
    variables["dataset_source"] = "{folder}/data.csv"
    causes = (*_VALID_SETTINGS, "dataset_source", "data.csv", "unknown", victim)
    return Case({"data.csv": csv_seeds()[0]}, variables, causes)


_RESULTS = (
    "None",
    "[]",
    "{}",
    "[{}]",
    "[[]]",
    "[1]",
    "{'a': 1}",
    "[{'a': 1}, {'b': 'x'}]",
    "{'a': float('nan'), 'b': float('inf')}",
    "{'a': 10 ** 400}",
    "{'a': -2 ** 63, 'b': 2 ** 64}",
    "{'a': {'b': [1, {'c': None}]}}",
    "{1: 2, None: 3, ('x',): 4}",
    "{'a': object()}",
    "{'a': b'\\xff', 'b': {1, 2}, 'c': (1,)}",
    "{'a.b': 1, 'a': {'b': 2}}",
    "{'': 1}",
    "{'a': '\\ud800'}",
    "{'\\ud800': 1}",
    "{'a': 'x\\0y'}",
    "{'a': lambda: 1}",
    "{'a': 1j}",
    "'text'",
    "'a,b\\n1,2'",
    "'\\ud800,1'",
    "'\"open'",
    "'{\"a\": 1}'",
    "''",
    "b'bytes'",
    "1",
    "True",
    "float('nan')",
    "object()",
    "(x for x in [{'a': 1}])",
    "({'a': 1}, {'a': 2})",
    "{'captureData': {}}",
    "{'captureData': {'endpointInput': {'data': 1, 'encoding': 'CSV'}}}",
    "{'captureData': {'endpointInput': 7}}",
    "record",
    "[record, record]",
    "setattr(record, 'endpoint_input', None) or record",
    "setattr(record.endpoint_input, 'data', 5) or record",
    "setattr(record.endpoint_output, 'encoding', 'JSON') or record",
    "record.missing",
    "1 / 0",
    "recurse()",
    "stop(SystemExit, 3)",
    "stop(SystemExit)",
    "stop(MemoryError)",
    "stop(StopIteration)",
    "stop(UnicodeDecodeError, 'utf-8', b'x', 0, 1, 'reason')",
    "stop(ValueError, 'text\\n' * 900)",
    "stop(ValueError, '\\ud800')",
)

_SCRIPT = """\
import random
choices = random.Random({seed})
def recurse():
    return recurse()
def stop(kind, *arguments):
    raise kind(*arguments)
def {function}(record):
    if choices.random() < {keep}:
        return {usual}
    return {result}
"""


def script_case(generator: random.Random) -> Case:
    """Return a case whose script answers some records, or all, with what no script should."""
    dataframe = generator.random() < 0.2
    source = _SCRIPT.format(
        seed=generator.randrange(1 << 30),
        function="preprocess_dataframe" if dataframe else "preprocess_handler",
        keep=generator.choice((0, 0.5, 0.9)),
        usual=generator.choice(("record", "{'a': 1, 'b': 'x'}")),
        result=generator.choice(_RESULTS),
    ).encode("utf-8", "surrogateescape")
    if generator.random() < 0.1:
        source = source[: generator.randrange(len(source))]
    dataset_format, data = generator.choice(
        (
            (CSV, csv_seeds()[0]),
            (HEADERLESS, csv_seeds()[1]),
            (JSON, json_seeds()[1]),
            (JSON, json_seeds()[3]),
            ("parquet", parquet_seeds()[0]),
            (CAPTURE, capture_seeds()[0]),
            (CAPTURE, capture_seeds()[1]),
            (MERGE, capture_seeds()[4]),
        )
    )
    case = dataset_case(generator, "data", data, dataset_format)
    script = f"script_{generator.randrange(1 << 60):x}.py"
    settings = {**case.settings, "record_preprocessor_script": f"{{folder}}/{script}"}
    return Case({**case.files, script: source}, settings, (script, "data"), case.monitors)


PROBLEMS = ("BinaryClassification", "MulticlassClassification", "Regression")
_QUALITY = {
    "inference_attribute": "prediction",
    "probability_attribute": "probability",
    "ground_truth_attribute": "label",
}


def quality_settings(problem: str) -> dict[str, str]:
    """Return the settings of a valid model-quality job on `quality_table`, without its rules."""
    settings = {"dataset_source": "{folder}/data.csv", "dataset_format": CSV, "problem_type": problem}
    settings |= _QUALITY
    if problem == "Regression":
        del settings["probability_attribute"]
    return settings


def model_quality_case(generator: random.Random) -> Case:
    """Return a model-quality job whose table, one of whose documents or whose attributes are damaged."""
    problem = generator.choice(PROBLEMS)
    settings = quality_settings(problem)
    settings["rules"] = generator.choice(("sound", "sound", "sagemaker"))
    table = quality_table()
    files = {"data.csv": table}
    causes = ("data.csv", *settings, "attribute", "positive_label")
    choice = generator.random()
    if choice < 0.4:
        files["data.csv"] = damage(table, generator, [table])
    elif choice < 0.5:
        name = generator.choice(sorted(_QUALITY))
        settings[name] = (
            damage(_QUALITY[name].encode(), generator).replace(b"\0", b"").decode(errors="surrogateescape")
        )
    if choice < 0.4:
        return Case(files, settings, causes, command="monitor-model-quality")
    kept = {name: data for name, data in documents.items() if name.startswith(problem)}
    for name, data in kept.items():
        kind = name.removeprefix(problem).removesuffix(".json")
        settings[f"baseline_{kind}"] = f"{{folder}}/{name}"
        files[name] = data
    if choice >= 0.5:
        name = generator.choice(sorted(kept))
        tree = generator.random() < 0.7
        files[name] = (
            json_bytes(damage_tree(json.loads(files[name]), generator))
            if tree
            else damage(files[name], generator, [files[name]])
        )
    return Case(files, settings, (*causes, *kept), monitors=True, command="monitor-model-quality")
