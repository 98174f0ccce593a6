"""A described schedule as jobs of this project: images, variables, the order of their steps, resources."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from contract.errors import ConfigurationError
from contract.window import parse_duration
from orchestrators.import_schedule.describe import Description

# Schedule expressions: the service's six fields of cron, and the five of everybody else.


_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_MINUTES_PER_DAY = 24 * 60
_DAYS_OF_MONTH = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


@dataclass(frozen=True)
class Cron:
    """When something runs, in UTC: the five fields of cron."""

    minute: str
    hour: str
    day: str
    month: str
    weekday: str

    def __str__(self) -> str:
        return f"{self.minute} {self.hour} {self.day} {self.month} {self.weekday}"

    def later(self, minutes: int) -> Cron:
        """Return the same, `minutes` later, where it runs at one full hour or several; else unchanged."""
        return replace(self, minute=str(minutes)) if self.minute == "0" and minutes < 60 else self


def translate(expression: str) -> Cron | None:
    """Return the five fields of ``cron(...)``, None for ``NOW``: once.

    Raises
    ------
    ConfigurationError
        Naming the field that has no counterpart.
    """
    text = expression.strip()
    if text.upper() == "NOW":
        return None
    match = re.fullmatch(r"cron\((.*)\)", text)
    fields = match[1].split() if match else []
    if len(fields) not in (5, 6):
        raise ConfigurationError(
            f"ScheduleExpression is {expression!r}; it should be NOW or six fields such as cron(0 * ? * * *)."
        )
    minute, hour, day, month, weekday = fields[:5]
    if fields[5:] not in ([], ["*"]):
        raise ConfigurationError(
            f"ScheduleExpression {expression!r} names years, which five fields cannot; write * there."
        )
    for field in (day, weekday):
        if re.search(r"[LW#]", field.upper().replace("WED", "")) and field.upper() not in _DAYS:
            raise ConfigurationError(
                f"ScheduleExpression {expression!r} has {field!r}, which the five fields of cron cannot say; "
                "write the days themselves, for example 1 or MON-FRI."
            )
    return Cron(
        _steps_cron(minute, 59),
        _steps_cron(hour, 23),
        _steps_cron(day.replace("?", "*"), 31),
        _steps_cron(month, 12),
        _weekdays(weekday.replace("?", "*")),
    )


def hours_between(cron: Cron) -> tuple[int, bool]:
    """Return the hours from one run to the next, the most there are, and whether they are always the same."""
    runs = _runs_of_a_year(cron)
    if not runs:
        raise ConfigurationError(f"The schedule {cron} never runs; correct its ScheduleExpression.")
    gaps = [later - earlier for earlier, later in pairwise(runs)]
    longest = max(gaps, default=365 * _MINUTES_PER_DAY)
    return -(-longest // 60), len(set(gaps)) <= 1 and bool(gaps)


def first_run(cron: Cron) -> int:
    """Return the minutes from 1970-01-01T00:00Z, a Thursday, to the first run."""
    return _runs_of_a_year(cron)[0]


def _steps_cron(field: str, last: int) -> str:
    """Write ``5/6`` as cron does: from 5 on, every 6."""
    return ",".join(re.sub(r"^(\d+)/(\d+)$", rf"\1-{last}/\2", part) for part in field.split(","))


def _weekdays(field: str) -> str:
    """Count days from Sunday as 0, not as 1; names stay."""
    values, _, step = field.partition("/")
    shifted = re.sub(r"\d+", lambda day: str((int(day[0]) - 1) % 7), values)
    if re.fullmatch(r"\d", shifted) and step:
        shifted += "-6"
    return shifted + (f"/{step}" if step else "")


def _runs_of_a_year(cron: Cron) -> list[int]:
    minutes = sorted(_values(cron.minute, 0, 59))
    hours = sorted(_values(cron.hour, 0, 23))
    months = _values(cron.month, 1, 12)
    days = _values(cron.day, 1, 31)
    weekdays = {day % 7 for day in _values(cron.weekday, 0, 7)}
    runs = []
    day_of_year = 0
    for month, length in enumerate(_DAYS_OF_MONTH, start=1):
        for day in range(1, length + 1):
            weekday = (4 + day_of_year) % 7
            if month in months and day in days and weekday in weekdays:
                midnight = day_of_year * _MINUTES_PER_DAY
                runs += [midnight + hour * 60 + minute for hour in hours for minute in minutes]
            day_of_year += 1
    return runs


def _values(field: str, first: int, last: int) -> set[int]:
    values: set[int] = set()
    for part in field.upper().split(","):
        span, _, step = part.partition("/")
        start, _, end = ("", "", "") if span == "*" else span.partition("-")
        try:
            low = _number(start) if start else first
            high = _number(end) if end else low if start else last
            values.update(range(low, high + 1, int(step or 1)))
        except ValueError:
            raise ConfigurationError(
                f"The schedule has the field {field!r}, which cron does not know."
            ) from None
    return values


def _number(text: str) -> int:
    months = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
    if text in _DAYS:
        return _DAYS.index(text)
    return months.index(text) + 1 if text in months else int(text)


MERGE = "merge-ground-truth"
NO_CLOUDWATCH = "Published CloudWatch metrics, which nobody collects here: see metrics_sinks."
_OURS = re.compile(r"sagemaker-model-monitor-analyzer|sagemaker-clarify-processing")
_LABELLED = ("model-quality", "bias")
_CAPTURES = ("endpointInput", "endpointOutput")
# Jobs of the originals carry them; elsewhere they mean nothing, or are said in another way.
_LEFT_OUT = (
    "analysis_type",
    "publish_cloudwatch_metrics",
    "cloudwatch_metrics_directory",
    "output_message_file",
)
# Memory per processor in GiB, by the letter that names a family of instances.
_GIBIBYTES_PER_PROCESSOR = {"c": 2, "m": 4, "r": 8, "t": 4, "g": 4, "p": 8, "i": 8}


@dataclass(frozen=True)
class Options:
    """What a description does not say.

    Parameters
    ----------
    image_prefix, image_tag
        Where the images are: ``PREFIX/data-quality:TAG``.
    captures
        Folder of captures, if not the one that the endpoint's description names.
    model
        Model to ask, for feature attribution and for bias without predictions.
    rules
        How to decide: sound, or sagemaker.
    delay
        Minutes after the full hour, so that captures of the window's end have arrived.
    """

    image_prefix: str = "model-monitor"
    image_tag: str = "latest"
    captures: str | None = None
    model: str | None = None
    rules: str = "sound"
    delay: int = 20


@dataclass(frozen=True)
class Step:
    """One container: a name, its image, the command in it, its variables."""

    name: str
    image: str
    command: tuple[str, ...]
    variables: Mapping[str, str]


@dataclass(frozen=True)
class Resources:
    """What a job may use: processors, MiB of memory, and the instance that has them."""

    processors: int
    memory: int
    instance_type: str
    volume: int


@dataclass(frozen=True)
class Jobs:
    """A schedule's jobs: `steps` one after another whenever `cron` says, once when it is None.

    `name` is lower-case letters, digits and dashes; `notes` are sentences for whoever reads the manifest.
    """

    name: str
    monitor: str
    cron: Cron | None
    steps: tuple[Step, ...]
    resources: Resources
    seconds: int
    role: str
    network: Mapping[str, Any]
    volume_key: str | None
    environment: Mapping[str, str]
    notes: tuple[str, ...]


def make_jobs(description: Description, options: Options) -> Jobs:
    """Return the jobs that do what a schedule did.

    Raises
    ------
    ConfigurationError
        When the description does not say enough; the sentence names the option that does.
    """
    notes = [f"Was the monitoring schedule {description.name} ({description.expression})."]
    cron = translate(description.expression)
    timing = _timing(description, cron, notes)
    if cron is not None:
        cron = _delayed(cron, options.delay, notes)
    resources = _resources(description.cluster, notes)
    _note_network(description, notes)
    _note_environment(description, notes)
    return Jobs(
        name=_plain_name(description.name),
        monitor=description.monitor,
        cron=cron,
        steps=_steps(description, options, timing, notes),
        resources=resources,
        seconds=description.seconds,
        role=description.role,
        network=description.network,
        volume_key=description.cluster.get("VolumeKmsKeyId"),
        environment=description.environment,
        notes=tuple(notes),
    )


def _steps(
    description: Description, options: Options, timing: dict[str, str], notes: list[str]
) -> tuple[Step, ...]:
    ours = f"{options.image_prefix}/{description.monitor}:{options.image_tag}"
    image = ours
    command: tuple[str, ...] = (f"monitor-{description.monitor}",)
    if not _OURS.search(str(description.application.get("ImageUri", ""))):
        image = str(description.application.get("ImageUri"))
        command = (
            *description.application.get("ContainerEntrypoint", ()),
            *description.application.get("ContainerArguments", ()),
        )
        notes.append("The image is one of your own; it gets the variables that this project's images get.")
    captures = _captures(description, options)
    folder = _output(description)
    names = _names(description)
    analysis = _analysis_variables(description, options)
    if description.monitor not in _LABELLED:
        source = {"dataset_source": captures, **analysis}
        return (_step(description.monitor, image, command, source | timing | names, folder),)
    if not description.ground_truth:
        raise ConfigurationError(
            f"The definition of schedule {description.name} has no GroundTruthS3Input, without which "
            f"{description.monitor} has no labels; give all that the describe command prints."
        )
    merged = f"{folder}/merge"
    merging = {
        "dataset_source": captures,
        "ground_truth_source": description.ground_truth,
        "output_path": merged,
    }
    return (
        Step(MERGE, ours, (MERGE,), merging | timing),
        _step(
            description.monitor,
            image,
            command,
            {"dataset_source": merged, **analysis} | timing | names,
            folder,
        ),
    )


def _step(name: str, image: str, command: tuple[str, ...], variables: dict[str, str], folder: str) -> Step:
    schedule = variables["sagemaker_monitoring_schedule_name"]
    endpoint = variables.get("sagemaker_endpoint_name")
    path = "/".join(part for part in (folder, endpoint, schedule, "%Y/%m/%d/%H") if part)
    return Step(name, image, command, {**variables, "output_path": path})


def _names(description: Description) -> dict[str, str]:
    names = {"sagemaker_monitoring_schedule_name": description.name}
    if endpoint := description.source.get("EndpointName"):
        names["sagemaker_endpoint_name"] = str(endpoint)
    return names


def _analysis_variables(description: Description, options: Options) -> dict[str, str]:
    """Return what an analysis needs besides its data, its window and its output."""
    source, application, baseline = description.source, description.application, description.baseline
    found = {
        "dataset_format": _dataset_format(description),
        "analysis_config": application.get("ConfigUri"),
        "problem_type": application.get("ProblemType"),
        "features_attribute": source.get("FeaturesAttribute"),
        "inference_attribute": source.get("InferenceAttribute"),
        "probability_attribute": source.get("ProbabilityAttribute"),
        "probability_threshold_attribute": source.get("ProbabilityThresholdAttribute"),
        "exclude_features_attribute": source.get("ExcludeFeaturesAttribute"),
        "baseline_constraints": (baseline.get("ConstraintsResource") or {}).get("S3Uri"),
        "baseline_statistics": (baseline.get("StatisticsResource") or {}).get("S3Uri"),
        "record_preprocessor_script": application.get("RecordPreprocessorSourceUri"),
        "post_analytics_processor_script": application.get("PostAnalyticsProcessorSourceUri"),
        "model": options.model,
        "rules": options.rules,
    }
    given = {name: text for name, text in description.environment.items() if name not in _LEFT_OUT}
    return {name: str(value) for name, value in found.items() if value is not None} | given


def _dataset_format(description: Description) -> str:
    if description.monitor in _LABELLED:
        parts = ("endpointOutput",) if description.monitor == "model-quality" else tuple(reversed(_CAPTURES))
        return _compact({"sagemakerMergeJson": {"captureIndexNames": list(parts)}})
    shape = description.source.get("DatasetFormat")
    if not shape:
        parts = _CAPTURES if description.monitor == "data-quality" else _CAPTURES[:1]
        return _compact({"sagemakerCaptureJson": {"captureIndexNames": list(parts)}})
    if "Parquet" in shape:
        return _compact({"parquet": {}})
    if "Json" in shape:
        return _compact({"json": {"lines": bool((shape["Json"] or {}).get("Line"))}})
    return _compact({"csv": {"header": bool((shape.get("Csv") or {}).get("Header"))}})


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _captures(description: Description, options: Options) -> str:
    if options.captures:
        return options.captures.rstrip("/")
    endpoint = description.source.get("EndpointName")
    if endpoint and description.destination:
        return f"{description.destination.rstrip('/')}/{endpoint}"
    if endpoint:
        raise ConfigurationError(
            f"The descriptions do not say where captures of endpoint {endpoint} are: add what aws sagemaker "
            f"describe-endpoint --endpoint-name {endpoint} prints, or --captures s3://BUCKET/PREFIX/{endpoint}."
        )
    raise ConfigurationError(
        "Captures of batch transform jobs are lists of files, "
        f"{description.source.get('DataCapturedDestinationS3Uri', '')}; say where the files themselves are: "
        "--captures s3://BUCKET/PREFIX."
    )


def _output(description: Description) -> str:
    outputs = description.output.get("MonitoringOutputs") or []
    address = outputs[0].get("S3Output", {}).get("S3Uri") if outputs else None
    if not address:
        raise ConfigurationError(
            "The job definition has no MonitoringOutputs with an S3Uri; give all that the command prints."
        )
    return str(address).rstrip("/")


def _timing(description: Description, cron: Cron | None, notes: list[str]) -> dict[str, str]:
    timing = {
        name: str(description.source[member])
        for name, member in (("start_time_offset", "StartTimeOffset"), ("end_time_offset", "EndTimeOffset"))
        if description.source.get(member)
    }
    if cron is not None:
        hours, regular = hours_between(cron)
        if not regular:
            notes.append(f"Runs are not always as far apart: each looks at the last {hours} hours.")
        return {"window": f"PT{hours}H", **timing}
    if not (description.analysis_start and description.analysis_end):
        return {"window": "PT1H", **timing}
    start = parse_duration("DataAnalysisStartTime", description.analysis_start, "-PT1H")
    end = parse_duration("DataAnalysisEndTime", description.analysis_end, "-PT0H")
    hours = int((end - start).total_seconds() // 3600)
    if hours < 1:
        raise ConfigurationError(
            f"DataAnalysisEndTime {description.analysis_end} is not an hour after DataAnalysisStartTime "
            f"{description.analysis_start}."
        )
    back = f"-PT{int(-end.total_seconds() // 3600)}H"
    return {"window": f"PT{hours}H"} | (
        {} if not end else {"start_time_offset": back, "end_time_offset": back}
    )


def _delayed(cron: Cron, delay: int, notes: list[str]) -> Cron:
    later = cron.later(delay)
    if later != cron:
        notes.append(
            f"Starts {delay} minutes past, as the service did within the first 20, so that the last captures "
            "are there; the window stays the full hours."
        )
    return later


def _resources(cluster: Mapping[str, Any], notes: list[str]) -> Resources:
    instance = str(cluster.get("InstanceType", "ml.m5.xlarge"))
    match = re.fullmatch(r"ml\.([a-z])\w*\.(\d*)(x?)large", instance)
    if match:
        processors = 4 * int(match[2] or 1) if match[3] else 2
        memory = processors * _GIBIBYTES_PER_PROCESSOR.get(match[1], 4)
    else:
        processors, memory = 2, 4
    notes.append(
        f"Ran on {cluster.get('InstanceCount', 1)} x {instance}: {processors} processors and {memory} GiB at "
        "most; far less is usually enough."
    )
    return Resources(processors, memory * 1024, instance, int(cluster.get("VolumeSizeInGB", 20)))


def _note_network(description: Description, notes: list[str]) -> None:
    network = description.network
    if vpc := network.get("VpcConfig"):
        notes.append(
            f"Ran in subnets {', '.join(vpc.get('Subnets', []))} with security groups "
            f"{', '.join(vpc.get('SecurityGroupIds', []))}: see that this place reaches S3."
        )
    if network.get("EnableNetworkIsolation"):
        notes.append(
            "Ran without network; here it reads and writes S3 itself, so allow it that and nothing else."
        )
    keys = {description.output.get("KmsKeyId"), description.cluster.get("VolumeKmsKeyId")} - {None}
    notes.extend(
        f"Encrypted with the key {key}: set it as default encryption of the bucket."
        for key in sorted(str(key) for key in keys)
    )
    notes.append(f"Had the role {description.role}; give what runs here the same rights on S3.")


def _note_environment(description: Description, notes: list[str]) -> None:
    if description.environment.get("publish_cloudwatch_metrics", "").casefold() == "enabled":
        notes.append(NO_CLOUDWATCH)


def _plain_name(name: str) -> str:
    # Kubernetes appends to a CronJob's name, and to a Job's; 52 characters leave room.
    return re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-")[:52].rstrip("-")
