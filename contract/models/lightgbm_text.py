"""LightGBM's text files, checked before its library reads them: it crashes on damaged ones.

A file is a header, blocks that begin with ``Tree=0``, ``Tree=1`` and so on, and the line ``end of trees``.
Each block has lines ``name=values``; a tree with n leaves has n - 1 splits.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from contract.errors import ModelError

_PER_SPLIT = ("split_feature", "threshold", "decision_type", "left_child", "right_child")
_BLOCK = re.compile(r"^Tree=(\d+)$", re.MULTILINE)
_CATEGORICAL = 1


class _DamagedError(Exception):
    """What is wrong with a block."""


def require_whole(content: bytes, where: str) -> str:
    """Return the text of a file that LightGBM can read without harm.

    Raises
    ------
    ModelError
        When it is cut off or damaged, naming the tree.
    """
    try:
        text = content.decode("utf-8").replace("\r\n", "\n")
        header, *blocks = _BLOCK.split(text.partition("\nend of trees")[0])
        if "\nend of trees" not in text:
            raise _DamagedError("it ends before its last tree does")
        members = _members(header)
        features = int(members["max_feature_idx"]) + 1
        sizes = len(members.get("tree_sizes", "").split())
        if [int(number) for number in blocks[::2]] != list(range(sizes)):
            raise _DamagedError(f"it holds {len(blocks) // 2} trees in place of {sizes}")
        if len(members.get("feature_names", "").split()) != features:
            raise _DamagedError(f"it does not name its {features} features")
    except (_DamagedError, UnicodeDecodeError, KeyError, ValueError) as error:
        raise _damaged(where, str(error) or "its header is incomplete") from error
    for number, block in enumerate(blocks[1::2]):
        try:
            _check_tree(_members(block), features)
        except (_DamagedError, KeyError, ValueError) as error:
            raise _damaged(where, f"tree {number}: {error}") from error
    return text


def _damaged(where: str, reason: str) -> ModelError:
    return ModelError(
        f"{where} is not a whole LightGBM model ({' '.join(reason.split())[:200]}); save it again with "
        "Booster.save_model('model.txt')."
    )


def _members(block: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in block.split("\n"))
    return {name: value for name, separator, value in pairs if separator}


def _check_tree(tree: dict[str, str], features: int) -> None:
    leaves = int(tree["num_leaves"])
    if leaves < 1:
        raise _DamagedError("it has no leaves")
    leaf_values = _numbers(tree, "leaf_value", leaves)
    if int(tree.get("is_linear", "0")):
        raise _DamagedError("linear trees are not supported")
    if leaves == 1:
        return
    if not np.isfinite(leaf_values).all():
        raise _DamagedError("a leaf has no value")
    split = {name: _numbers(tree, name, leaves - 1) for name in _PER_SPLIT}
    if (split["split_feature"] < 0).any() or (split["split_feature"] >= features).any():
        raise _DamagedError(f"it splits a feature that is none of the {features}")
    # Each inner node but the root (0, 1, ...) and each leaf (-1, -2, ...) is the child of one node, above it.
    for side in ("left_child", "right_child"):
        children = split[side]
        if (np.where(children >= 0, children <= np.arange(leaves - 1), False)).any():
            raise _DamagedError("a node leads back to itself")
    children = np.concatenate([split["left_child"], split["right_child"]])
    if not np.array_equal(np.sort(children), np.delete(np.arange(-leaves, leaves - 1), leaves)):
        raise _DamagedError("its nodes are not one tree")
    _check_categories(tree, split, int(tree["num_cat"]))


def _check_categories(tree: dict[str, str], split: dict[str, NDArray[np.float64]], count: int) -> None:
    categorical = (split["decision_type"].astype(np.int64) & _CATEGORICAL) == 1
    if not count:
        if categorical.any():
            raise _DamagedError("a split is by categories that are not there")
        return
    bounds = _numbers(tree, "cat_boundaries", count + 1)
    words = _numbers(tree, "cat_threshold", None)
    places = split["threshold"][categorical]
    if (np.diff(bounds) < 0).any() or bounds[0] != 0 or bounds[-1] != len(words):
        raise _DamagedError("the categories of its splits do not fit")
    if (places < 0).any() or (places >= count).any():
        raise _DamagedError("a split is by categories that are not there")


def _numbers(tree: dict[str, str], name: str, count: int | None) -> NDArray[np.float64]:
    values = np.array(tree[name].split(), dtype=np.float64)
    if count is not None and len(values) != count:
        raise _DamagedError(f"{name} has {len(values)} values in place of {count}")
    return values
