"""Hostile configurations, models, answers of endpoints and histories of otherwise valid jobs."""

from __future__ import annotations

import functools
import gzip
import io
import json
import random
import tarfile
from typing import Any

import numpy as np

from benchmarks.fuzz_case import CSV, Case
from benchmarks.fuzz_jobs import documents
from benchmarks.fuzz_seeds import csv_seeds, quality_table
from benchmarks.mutations import damage, damage_tree, json_bytes

_COLUMNS = ("a", "b", "c")
_BIAS = {
    "dataset_type": "text/csv",
    "label": "label",
    "label_values_or_threshold": [1],
    "predicted_label": "prediction",
    "probability_threshold": 0.5,
    "facet": [{"name_or_index": "group", "value_or_threshold": ["a"]}, {"name_or_index": "probability"}],
    "group_variable": "group",
    "methods": {
        "pre_training_bias": {"methods": "all"},
        "post_training_bias": {"methods": ["DPPL", "DI", "AD"]},
        "report": {"name": "report", "title": "Analysis"},
    },
}
_ATTRIBUTION = {
    "dataset_type": "text/csv",
    "methods": {
        "shap": {"baseline": [[0.0, 0.5, 1.0]], "num_samples": 8, "agg_method": "mean_abs", "seed": 1}
    },
    "predictor": {"content_type": "text/csv", "accept_type": "text/csv"},
}


@functools.cache
def _numbers() -> bytes:
    rows = np.random.default_rng(1).normal(size=(24, 3)).round(3).tolist()
    return "\n".join([",".join(_COLUMNS), *(",".join(map(str, row)) for row in rows)]).encode() + b"\n"


@functools.cache
def models() -> dict[str, bytes]:
    """Return a small model file of each kind."""
    import lightgbm
    import xgboost
    from onnx import TensorProto, helper, numpy_helper

    rows = np.random.default_rng(2).normal(size=(80, 3))
    target = rows[:, 0] + rows[:, 1]
    booster = xgboost.train({"nthread": 1, "max_depth": 2}, xgboost.DMatrix(rows, target), 3)
    quiet = {"verbosity": -1, "num_leaves": 4, "min_data_in_leaf": 5, "num_threads": 1, "deterministic": True}
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["rows", "weights"], ["scores"])],
        "linear",
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["n", 3])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 1])],
        [numpy_helper.from_array(np.ones((3, 1), np.float32), "weights")],
    )
    network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    network.ir_version = 9
    kinds = {
        "model.json": bytes(booster.save_raw("json")),
        "model.ubj": bytes(booster.save_raw("ubj")),
        "model.txt": lightgbm.train(quiet, lightgbm.Dataset(rows, target), 3).model_to_string().encode(),
        "model.onnx": network.SerializeToString(),
    }
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        member = tarfile.TarInfo("model.json")
        member.size = len(kinds["model.json"])
        archive.addfile(member, io.BytesIO(kinds["model.json"]))
    return {**kinds, "model.tar": stream.getvalue()}


def bias_case(generator: random.Random) -> Case:
    """Return a bias job whose configuration or table is damaged."""
    files = _damaged("data.csv", quality_table(), _BIAS, generator)
    return Case(files, _settings(generator), _CAUSES, command="monitor-bias")


def attribution_case(generator: random.Random) -> Case:
    """Return an attribution job whose configuration or table is damaged."""
    files = {
        **_damaged("data.csv", _numbers(), _ATTRIBUTION, generator),
        "model.json": models()["model.json"],
    }
    settings = {**_settings(generator), "model": "{folder}/model.json"}
    return Case(files, settings, (*_CAUSES, "model"), command="monitor-feature-attribution")


def model_case(generator: random.Random) -> Case:
    """Return an attribution job whose model file is damaged."""
    name = generator.choice(sorted(models()))
    content = models()[name]
    if name == "model.json" and generator.random() < 0.5:
        content = json_bytes(damage_tree(json.loads(content), generator))
    else:
        content = damage(content, generator, [content])
    if name == "model.tar" and generator.random() < 0.5:
        name, content = "model.tar.gz", gzip.compress(content, mtime=0)
    files = {"data.csv": _numbers(), "analysis_config.json": json_bytes(_ATTRIBUTION), name: content}
    settings = {**_settings(generator), "model": f"{{folder}}/{name}"}
    return Case(files, settings, (name,), command="monitor-feature-attribution")


def answer_case(generator: random.Random) -> Case:
    """Return an attribution job whose model answers something else than it should."""
    kind = generator.choice(("text/csv", "application/json", "application/jsonlines"))
    shape: dict[str, Any] = {"content_type": "text/csv", "accept_type": kind}
    valid = b"\n".join(b"0.%d" % (number % 10) for number in range(generator.choice((1, 24, 25))))
    if kind != "text/csv":
        shape["probability"] = "p"
        valid = json_bytes({"p": 0.5} if kind.endswith("lines") else {"p": [0.5] * 24})
    files = {
        "data.csv": _numbers(),
        "analysis_config.json": json_bytes({**_ATTRIBUTION, "predictor": shape}),
        "answer": damage(valid, generator, [valid]),
    }
    settings = {**_settings(generator), "model": "{endpoint}/score"}
    return Case(files, settings, ("/***", "predictor"), command="monitor-feature-attribution")


def history_case(generator: random.Random) -> Case:
    """Return a monitoring job, or a look, at a history with a damaged record."""
    record = documents["record"]
    if generator.random() < 0.6:
        content = json_bytes(damage_tree(json.loads(record), generator)) + b"\n"
    else:
        content = damage(record, generator, [record])
    packed = gzip.compress(content, mtime=0)
    if generator.random() < 0.2:
        packed = damage(packed, generator, [packed])
    files = {
        "data.csv": csv_seeds()[0],
        "history/runs/20260506T100000.000000Z-data-quality-0.jsonl.gz": packed,
    }
    settings = {
        "dataset_source": "{folder}/data.csv",
        "dataset_format": CSV,
        "history_path": "{folder}/history",
        "baseline_constraints": "{folder}/../table/constraints.json",
        "baseline_statistics": "{folder}/../table/statistics.json",
    }
    if generator.random() < 0.5:
        return Case(files, settings, (), monitors=True)
    arguments = generator.choice((("list",), ("export",), ("export", "--table=metrics"), ("show", "last")))
    return Case(files, settings, (), command="monitor-history", arguments=arguments)


_CAUSES = (
    "data.csv",
    "rules=sagemaker",
    "analysis_config.json",
    "dataset_source",
    "methods.",
    "analysis_config",
)


def _settings(generator: random.Random) -> dict[str, str]:
    return {
        "dataset_source": "{folder}/data.csv",
        "analysis_config": "{folder}/analysis_config.json",
        "rules": generator.choice(("sound", "sound", "sagemaker")),
    }


def _damaged(name: str, table: bytes, config: Any, generator: random.Random) -> dict[str, bytes]:
    files = {name: table, "analysis_config.json": json_bytes(config)}
    choice = generator.random()
    if choice < 0.4:
        files[name] = damage(table, generator, [table])
    elif choice < 0.85:
        files["analysis_config.json"] = json_bytes(damage_tree(config, generator))
    else:
        files["analysis_config.json"] = damage(files["analysis_config.json"], generator)
    return files
