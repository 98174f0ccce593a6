"""Which files of a folder are data, and whether they are what ``dataset_format`` says."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath
from urllib.parse import unquote

from contract.dataset import Said
from contract.errors import DatasetError
from contract.schema import suggestion
from contract.wording import some_of
from file_storage.storage import SourceFile, list_files, read_bytes
from readers.splitting import UTF8_MARK, UTF16_MARKS, first_bytes

_BYTES = 4096
_LARGEST_MANIFEST = 64 << 20
# Files with another ending than most are looked into, up to so many.
_MOST_LOOKED_AT = 20
_NO_DATA = re.compile(
    r"(?i)(.*/)?(read[-_ ]?me|licen[cs]e|notice|changelog|authors|thumbs\.db)(\.[^/]*)?$"
    # What a monitor has written.
    r"|(.*/)?((statistics|constraints|constraint_violations|comparisons|analysis)\.json|explanations_shap/.*)$"
    r"|.*\.(md|rst|html?|pdf|png|jpe?g|svg|ya?ml|toml|ini|py|ipynb|sql|sh|xsd|md5|sha\d+|pyc)$"
)
_COMPRESSED = (".gz", ".bz2", ".zst")
# Bytes that tell whether two files of one size are copies.
_COPIED = 1 << 16
_PARTITION = re.compile(r"(?<=/)(\w+)=([^/]*)(?=/)")
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
_OF_DATES = ("year", "month", "day", "hour", "hr")
_DATE = re.compile(r"\d{4}-?\d\d-?\d\d([T_-]\d\d)?")
_DATED = re.compile(r"/\d{4}/\d{2}/\d{2}/\d{2}/")
_WRITTEN = {
    "csv": '{"csv":{"header":true}}',
    "json": '{"json":{"lines":true}}',
    "parquet": '{"parquet":{}}',
    "sagemakerCaptureJson": '{"sagemakerCaptureJson":{"captureIndexNames":["endpointInput"]}}',
}
# How files begin that are neither text nor Parquet. Excel's workbooks are ZIP; the last three stand within or
# under the name of another compression.
_BINARY = re.compile(
    rb"(?s)(?P<ZIP>PK\x03\x04)|(?P<xz>\xfd7zXZ)|(?P<SQLite>SQLite format 3\x00)|(?P<Avro>Obj\x01)"
    rb"|(?P<Arrow>ARROW1\x00)|(?P<NumPy>\x93NUMPY)|(?P<HDF5>\x89HDF)|(?P<Excel>\xd0\xcf\x11\xe0)|.{257}(?P<tar>ustar)"
    rb"|(?P<gzip>\x1f\x8b\x08)|(?P<bzip2>BZh[1-9]1AY)|(?P<zstd>\x28\xb5\x2f\xfd)"
)
_SAID = {"csv": "CSV", "json": "JSON", "parquet": "Parquet", "sagemakerCaptureJson": "captures"}


def data_files(files: list[SourceFile], kind: str, said: Said) -> list[SourceFile]:
    """Return the files that hold data; what is passed over is said.

    A manifest, as batch transform writes it, lists the files of its folder when they are there. Any other
    manifest, and files that are plainly something else, are passed over.

    Parameters
    ----------
    kind
        Of the format.
    """
    kept = _listed_in_manifests(files, said)
    kept = without_documents(kept)
    endings = Counter(_ending(file) for file in kept)
    usual = endings.most_common(1)[0][0] if endings else ""
    odd = [file for file in kept if _ending(file) != usual][:_MOST_LOOKED_AT]
    others = {file for file in odd if not _fits(kind_of(first_bytes(file.path, _BYTES)), kind)}
    if len(others) < len(kept):
        kept = [file for file in kept if file not in others]
    known = set(kept)
    passed_over = [file for file in files if file not in known]
    say_copies(kept, said)
    if passed_over:
        said.say("reading.passed_over", names=some_of(list(map(_name, passed_over))))
    return kept


def without_documents(files: list[SourceFile]) -> list[SourceFile]:
    """Return the files that are not plainly about data, such as README; all where none would be left."""
    return [file for file in files if not _NO_DATA.match(file.path)] or files


def say_folders(files: Sequence[SourceFile], read: Sequence[str], said: Said) -> None:
    """Say which folders tell values of a column, as Spark writes them, and are not `read` as one."""
    values: dict[str, set[str]] = {}
    for file in files:
        for name, value in _PARTITION.findall(file.path):
            values.setdefault(name, set()).add(value)
    for name, found in values.items():
        # One value may be a folder above the dataset; dates and hours select files of a window.
        is_date = name in _OF_DATES or all(map(_DATE.fullmatch, found))
        if len(found) > 1 and name not in read and not is_date:
            said.say("reading.unread_folders", field=name, values=some_of(sorted(found)))


def folder_values(path: str, names: Sequence[str]) -> dict[str, str | None]:
    """Return what the folders of a file say, None for what Spark writes where there is no value.

    Raises
    ------
    DatasetError
        When it lies in no such folder.
    """
    found = {name: unquote(value) for name, value in _PARTITION.findall(path)}
    if absent := [name for name in names if name not in found]:
        hint = suggestion(absent[0], found)
        raise DatasetError.of("data_files.no_folder", file=path, field=absent[0], hint=hint)
    return {name: None if found[name] == _NO_VALUE else found[name] for name in names}


def say_copies(files: Sequence[SourceFile], said: Said) -> None:
    """Say which files seem to be there twice: all are read."""
    paths = {file.path for file in files}
    twice = [f for f in files if f.path.endswith(_COMPRESSED) and f.path.rpartition(".")[0] in paths]
    sizes = Counter(file.size for file in files if file.size >= _BYTES)
    same = [file for file in files if sizes[file.size] > 1][:_MOST_LOOKED_AT]
    beginnings: dict[tuple[int, bytes], SourceFile] = {}
    for file in same:
        first = beginnings.setdefault((file.size, first_bytes(file.path, _COPIED)), file)
        if first is not file:
            names = [_name(file), _name(first)]
            names = names if len(set(names)) > 1 else [file.path, first.path]
            said.say("reading.copy", file=names[0], other=names[1])
    for file in twice:
        said.say("reading.compressed", file=_name(file))


def say_endpoints(files: Sequence[SourceFile], said: Said) -> None:
    """Say so when captures are of several endpoints or variants."""
    above = {_DATED.split(file.path, maxsplit=1)[0] for file in files if _DATED.search(file.path)}
    if len(above) > 1:
        names = sorted("/".join(path.split("/")[-2:]) for path in above)
        said.say("reading.endpoints", count=len(names), names=some_of(names))


def require_kind(path: str, kind: str) -> None:
    """Make sure that a file begins as files of a kind do.

    Raises
    ------
    DatasetError
        Naming the file, what it looks like, and the format to give.
    """
    beginning = first_bytes(path, _BYTES)
    if beginning.startswith(UTF16_MARKS):
        raise DatasetError.of("csv.utf16", file=path)
    found = kind_of(beginning)
    if found not in (None, *_SAID):
        raise DatasetError.of("data_files.binary", file=path, found=found)
    first = beginning.partition(b"\n")[0]
    if found == "csv" and (b"," not in first or (b"{" in first and kind != "parquet")):
        return  # any text; reading in earnest names what is wrong with it
    if found is not None and not _fits(found, kind):
        told = {"found": _SAID[found], "kind": kind, "written": _WRITTEN[found]}
        raise DatasetError.of("data_files.kind", file=path, **told)


def kind_of(beginning: bytes) -> str | None:
    """Return the kind of format that a file's first bytes show, None for an empty file."""
    text = beginning.removeprefix(UTF8_MARK).lstrip()
    if not text:
        return None
    if text.startswith(b"PAR1"):
        return "parquet"
    if binary := _BINARY.match(beginning):
        return binary.lastgroup
    if text.startswith((b"{", b"[")):
        return "sagemakerCaptureJson" if text.startswith(b"{") and b'"captureData"' in text else "json"
    return "csv"


def _fits(found: str | None, kind: str) -> bool:
    expected = "sagemakerCaptureJson" if kind == "sagemakerMergeJson" else kind
    # Where a long record holds its captureData, the first bytes need not show it.
    return found in (None, expected) or (found == "json" and expected == "sagemakerCaptureJson")


def _listed_in_manifests(files: list[SourceFile], said: Said) -> list[SourceFile]:
    manifests = {file: entries for file in files if (entries := _manifest(file)) is not None}
    if not manifests:
        return files
    if is_named := len(files) == 1:  # the manifest itself
        files = list_files(_folder(files[0]))
    by_path = {file.path: file for file in files}
    kept = [file for file in files if file not in manifests]
    for manifest, entries in manifests.items():
        folder = _folder(manifest)
        listed = [by_path.get(f"{folder}/{entry}") for entry in entries]
        there = [file for file in listed if file is not None]
        if listed and len(there) == len(listed):
            kept = [file for file in kept if file in there or not file.path.startswith(f"{folder}/")]
            said.say("reading.manifest", file=manifest.path, count=len(there))
        elif is_named or not kept:
            raise DatasetError.of("data_files.manifest", file=manifest.path)
    return kept


def _manifest(file: SourceFile) -> list[str] | None:
    """Return the entries of a manifest, None for another file."""
    if "manifest" not in _name(file).casefold() or file.size > _LARGEST_MANIFEST:
        return None
    try:
        value = json.loads(read_bytes(file.path))
    except ValueError:
        return None
    if not isinstance(value, list) or not value or not isinstance(value[0], dict) or "prefix" not in value[0]:
        return None
    return [entry for entry in value[1:] if isinstance(entry, str)]


def _name(file: SourceFile) -> str:
    return file.path.rpartition("/")[2]


def _folder(file: SourceFile) -> str:
    return file.path.rpartition("/")[0]


def _ending(file: SourceFile) -> str:
    suffixes = [part for part in PurePosixPath(_name(file)).suffixes if part not in _COMPRESSED]
    return suffixes[-1].casefold() if suffixes else ""
