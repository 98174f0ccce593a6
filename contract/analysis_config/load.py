"""Finding and parsing the analysis configuration that the settings name."""

from __future__ import annotations

import orjson

from contract.analysis_config.members import AnalysisConfig
from contract.analysis_config.read import Kind, read_analysis_config
from contract.datasets import storage
from contract.errors import ConfigurationError
from contract.settings import Settings

FILE_NAME = "analysis_config.json"


def load_analysis_config(settings: Settings, kind: Kind) -> AnalysisConfig:
    """Read the file that ``analysis_config`` names, or that lies in the folder it names.

    Raises
    ------
    ConfigurationError
        When the file is no JSON, with the place in it; else with everything that is wrong with it.
    DocumentError
        When there is no such file.
    """
    path = storage.resolve_document(settings.analysis_config or "", (FILE_NAME,), "analysis_config")
    data = storage.read_bytes(path, ConfigurationError)
    try:
        value = orjson.loads(data.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        raise ConfigurationError(f"{path} is not valid JSON ({error}); mend that place.") from None
    return read_analysis_config(value, path, kind)
