"""Hostile datasets: tables, records, captures, and labels to join with them."""

from __future__ import annotations

import bz2
import json
import random
from typing import Any

from benchmarks.fuzz_case import (
    CAPTURE,
    CSV,
    HEADERLESS,
    JSON,
    MERGE,
    WINDOW,
    Case,
    damage_text,
    dataset_case,
)
from benchmarks.fuzz_seeds import (
    CAPTURE_KINDS,
    capture_record,
    capture_seeds,
    csv_seeds,
    json_seeds,
    label_seeds,
    parquet_seeds,
    table_rows,
)
from benchmarks.mutations import damage, damage_tree, json_bytes


def csv_case(generator: random.Random) -> Case:
    """Return a case about a CSV file, sometimes within an archive."""
    data = damage_text(generator.choice(csv_seeds()), generator, csv_seeds())
    name = generator.choice(("data.csv", "data.csv", "data.csv.gz", "data.csv.bz2"))
    if name.endswith("bz2") and generator.random() < 0.5:
        data = damage(bz2.compress(data), generator)
    return dataset_case(generator, name, data, generator.choice((CSV, CSV, HEADERLESS)))


def json_case(generator: random.Random) -> Case:
    """Return a case about JSON: trees damaged before they are written, or their text afterwards."""
    if generator.random() < 0.5:
        tree = damage_tree(
            [table_rows(), [json.loads(json_seeds()[5])] * 4][generator.randrange(2)], generator
        )
        lines = tree if isinstance(tree, list) and generator.random() < 0.7 else [tree]
        data = b"\n".join(json_bytes(line) for line in lines)
        if generator.random() < 0.3:
            data = data.replace(b"\\ud800", b"\xed\xa0\x80")
    else:
        data = damage_text(generator.choice(json_seeds()), generator, json_seeds())
    return dataset_case(generator, "data.json", data, JSON)


def parquet_case(generator: random.Random) -> Case:
    """Return a case about a Parquet file, mostly damaged where its metadata are."""
    data = damage(generator.choice(parquet_seeds()), generator, parquet_seeds(), near_end=True)
    return dataset_case(generator, "data.parquet", data, "parquet")


def capture_case(generator: random.Random) -> Case:
    """Return a case about captures: records, their payloads or their text are damaged."""
    if generator.random() < 0.6:
        kind = generator.choice(CAPTURE_KINDS)
        records = [capture_record(number, kind) for number in range(6)]
        at = generator.randrange(len(records))
        records[at] = damage_tree(_with_damaged_payload(records[at], generator), generator)
        data = b"\n".join(json_bytes(record) for record in records) + b"\n"
    else:
        data = damage_text(generator.choice(capture_seeds()), generator, capture_seeds())
    dataset_format = generator.choice((CAPTURE, CAPTURE, MERGE))
    window = WINDOW if generator.random() < 0.4 else {}
    return dataset_case(generator, "data.jsonl", data, dataset_format, "capture", **window)


def _with_damaged_payload(record: dict[str, Any], generator: random.Random) -> dict[str, Any]:
    if generator.random() < 0.5:
        part = record["captureData"][generator.choice(("endpointInput", "endpointOutput"))]
        if part["encoding"] == "JSON" and generator.random() < 0.5:
            part["data"] = json.dumps(damage_tree(json.loads(part["data"]), generator))
        else:
            part["data"] = damage(part["data"].encode(), generator).decode(errors="surrogateescape")
        if generator.random() < 0.3:
            part["encoding"] = generator.choice(("CSV", "JSON", "BASE64", "", None, "XML"))
    return record


def labels_case(generator: random.Random) -> Case:
    """Return a merge whose labels are damaged, or its captures, or a job that joins while reading."""
    if generator.random() < 0.5:
        records = [json.loads(line) for line in generator.choice(label_seeds()).splitlines()]
        records[0] = damage_tree(records[0], generator)
        labels = b"\n".join(json_bytes(record) for record in records)
    else:
        labels = damage_text(generator.choice(label_seeds()), generator, label_seeds())
    captures = generator.choice(capture_seeds()[:3])
    if generator.random() < 0.3:
        captures = damage(captures, generator, capture_seeds())
    # Only files called .json can be answers of human reviewers.
    name = generator.choice(("labels.jsonl", "output.json"))
    settings = {"dataset_source": "{folder}/data.jsonl", "ground_truth_source": f"{{folder}}/{name}"}
    if generator.random() < 0.4:
        settings |= WINDOW
    files = {"data.jsonl": captures, name: labels}
    if generator.random() < 0.6:
        return Case(files, settings, ("data.jsonl", name), command="merge-ground-truth")
    settings |= {"dataset_format": MERGE, "problem_type": "BinaryClassification"}
    settings |= {"inference_attribute": "0", "rules": generator.choice(("sound", "sagemaker"))}
    causes = ("data.jsonl", name, "attribute", "problem_type", "positive_label")
    return Case(files, settings, causes, command="monitor-model-quality")
