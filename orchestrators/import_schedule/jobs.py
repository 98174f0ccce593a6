"""A described schedule as jobs of this project, and these as manifests of each orchestrator."""

import hashlib
import json
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jinja2
import yaml  # type: ignore[import-untyped] # it has no types of its own

from contract import __version__
from contract.errors import ConfigurationError, topic, wording
from contract.window import parse_duration
from orchestrators.import_schedule.describe import OWN_IMAGE, Description, table

# Schedule expressions: the service's six fields of cron, and the five of everybody else.


_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


@dataclass(frozen=True)
class Cron:
    """When something runs, in UTC: once in each of `hours`; weekdays are counted from Sunday as 0."""

    minute: int
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]

    def fields(self, first_weekday: int = 0) -> list[str]:
        """Return the five fields of cron; `first_weekday` is the number that Sunday has."""
        weekdays = tuple(day + first_weekday for day in self.weekdays)
        spans = ((self.hours, 24), (self.days, 31), (self.months, 12), (weekdays, 7))
        return [str(self.minute), *(_field(values, most) for values, most in spans)]

    def __str__(self) -> str:
        return " ".join(self.fields())


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
    fields = match[1].upper().split() if match else []
    what = f"ScheduleExpression is {json.dumps(expression)}"
    if len(fields) not in (5, 6):
        raise ConfigurationError.of("cron.malformed", what=what)
    minute, hour, day, month, weekday = fields[:5]
    if fields[5:] not in ([], ["*"]):
        raise ConfigurationError.of("cron.years", what=what)
    if not {day, weekday} & {"*", "?"}:
        raise ConfigurationError.of("cron.two_days", what=what)
    minutes = _values(what, minute, 0, 59)
    if len(minutes) != 1:
        raise ConfigurationError.of("cron.minutes", what=what)
    hours, days = _values(what, hour, 0, 23), _values(what, day, 1, 31)
    months, weekdays = _values(what, month, 1, 12, _MONTHS), _values(what, weekday, 1, 7, _DAYS)
    return Cron(*minutes, hours, days, months, tuple(day - 1 for day in weekdays))


def hours_between(cron: Cron) -> tuple[int, bool]:
    """Return the hours from one run to the next, the most there are, and whether they are always the same."""
    first = date(2027, 1, 1)  # eight years with two 29ths of February
    runs = [
        at * 24 + hour
        for at in range(8 * 366)
        if (day := first + timedelta(at)).day in cron.days
        and day.month in cron.months
        and day.isoweekday() % 7 in cron.weekdays
        for hour in cron.hours
    ]
    gaps = {later - earlier for earlier, later in pairwise(runs)}
    if not gaps:
        raise ConfigurationError.of("cron.never", expression=cron, field="ScheduleExpression")
    return max(gaps), len(gaps) == 1


def _field(values: tuple[int, ...], most: int) -> str:
    if len(values) == most:
        return "*"
    if len(values) > 2 and values[-1] - values[0] == len(values) - 1:
        return f"{values[0]}-{values[-1]}"
    return ",".join(map(str, values))


def _values(what: str, field: str, first: int, last: int, names: tuple[str, ...] = ()) -> tuple[int, ...]:
    """Return what a field of the service's cron lists, in order; `first` and `last` are its bounds.

    Ranges and steps of hours go round: FRI-MON is four days, 17/12 is 17:00 and 05:00.
    """
    values: set[int] = set()
    count = last - first + 1
    for part in field.split(","):
        span, slash, step = part.partition("/")
        low, dash, high = (str(first), "-", str(last)) if span in ("*", "?") else span.partition("-")
        found = re.fullmatch(r"\d{1,2}", step if slash else "1") and [
            names.index(text) + 1 if text in names else int(text) if re.fullmatch(r"\d{1,2}", text) else -1
            for text in (low, high if dash else str(last) if slash else low)
        ]
        if not found or min(found) < first or max(found) > last or not 1 <= int(step or 1) <= count:
            raise ConfigurationError.of("cron.characters", what=what, part=field, first=first, last=last)
        begin, end = found
        if slash and not dash and last == 23:
            end = begin + count - 1
        elif end < begin:
            end += count
        values.update((at - first) % count + first for at in range(begin, end + 1, int(step or 1)))
    return tuple(sorted(values))


MERGE = "merge-ground-truth"
_OURS = re.compile(r"sagemaker-model-monitor-analyzer|sagemaker-clarify-processing")
_LABELLED = ("model-quality", "bias")
# Each is a member of the input as well: FeaturesAttribute and so on.
_ATTRIBUTES = (
    *("features_attribute", "inference_attribute", "probability_attribute"),
    *("probability_threshold_attribute", "exclude_features_attribute"),
)
# What a monitor of ours does not look at.
_UNUSED = {
    "data-quality": _ATTRIBUTES[:4],
    "model-quality": _ATTRIBUTES[:1],
    "bias": _ATTRIBUTES[4:],
    "feature-attribution": _ATTRIBUTES[1:4],
}
_CAPTURES = ("endpointInput", "endpointOutput")
# Jobs of the originals carry them; elsewhere they mean nothing, or are said in another way.
PLATFORM = ("publish_cloudwatch_metrics", "cloudwatch_metrics_directory")
_LEFT_OUT = (*PLATFORM, "analysis_type", "output_message_file", "start_time", "end_time")
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
    baseline
        Folder of the baseline, where only the job that made it is named.
    model
        Model to ask, for feature attribution and for bias without predictions.
    rules
        How to decide: sound, or sagemaker.
    delay
        Minutes after the full hour, so that captures of the window's end have arrived.
    """

    image_prefix: str = "model-monitor"
    image_tag: str = __version__
    captures: str | None = None
    baseline: str | None = None
    model: str | None = None
    rules: str = "sound"
    delay: int = 20


@dataclass(frozen=True)
class Step:
    """One container: a name, its image, entry point and arguments (empty: the image's own), variables."""

    name: str
    image: str
    command: tuple[str, ...]
    variables: Mapping[str, str]
    arguments: tuple[str, ...] = ()


class Jobs(NamedTuple):
    """A schedule's jobs: `steps` one after another whenever `cron` says, once when it is None.

    `name` is lower-case letters, digits and dashes, and no other schedule's. `resources` are processors, MiB
    of memory, GiB of the volume, and instances with their type. `said` is what became of members, where
    `fields` tells of the usual only.
    """

    name: str
    description: Description
    cron: Cron | None
    steps: tuple[Step, ...]
    resources: Mapping[str, int | str]
    is_own: bool
    said: Mapping[str, str]

    def header(self, target: str) -> str:
        """Return the comment above a manifest: how to apply it, and what became of each member."""
        notes = [
            f"Was the monitoring schedule {self.description.name}.",
            *([] if self.description.baseline else [wording("job_definition.without_baseline")]),
            *topic("how_to_apply")[target].splitlines(),
            "",
            *table(self.description.members, target, self.said),
        ]
        return "".join(f"# {line}".rstrip() + "\n" for line in notes)


def make_jobs(description: Description, options: Options) -> Jobs:
    """Return the jobs that do what a schedule did.

    Raises
    ------
    ConfigurationError
        When the description does not say enough; the sentence names the option that does.
    """
    said: dict[str, str] = {}
    cron = translate(description.timing["ScheduleExpression"])
    timing = _timing(description, cron, said)
    if cron is not None and cron.minute == 0 and options.delay:
        cron = replace(cron, minute=options.delay)
        past = f"{options.delay} minutes past, as the service started within the first 20, the window stays"
        said["ScheduleExpression"] += f"; {past}"
    if description.stopped:
        said["MonitoringScheduleStatus"] = "changed: it waits until you let it run"
    is_own = not _OURS.search(str(description.application.get("ImageUri", "")))
    if is_own:
        said |= OWN_IMAGE
    steps = _steps(description, options, timing, said, is_own)
    name, resources = unique_name(description.name), _resources(description.cluster)
    return Jobs(name, description, cron, steps, resources, is_own, said)


def unique_name(name: str, longest: int = 52, *, always: bool = False) -> str:
    """Return a schedule's name in lower case, with a digest of the name where it would not be the only one.

    Kubernetes appends to a CronJob's name, and to a Job's; 52 characters leave room.
    """
    plain = name.casefold()
    if plain == name and len(name) <= longest and not always:
        return name
    return f"{plain[: longest - 9].rstrip('-')}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _steps(
    description: Description, options: Options, timing: dict[str, str], said: dict[str, str], is_own: bool
) -> tuple[Step, ...]:
    application, monitor = description.application, description.monitor
    ours = f"{options.image_prefix.rstrip('/')}/{monitor}:{options.image_tag}"
    image = str(application.get("ImageUri")) if is_own else ours
    command = tuple(application.get("ContainerEntrypoint") or ()) if is_own else (f"monitor-{monitor}",)
    arguments = tuple(application.get("ContainerArguments") or ()) if is_own else ()
    captures = _captures(description, options, said)
    folder = _output(description, said)
    variables = _analysis_variables(description, options, said) | {"dataset_source": captures} | timing
    for variable in () if is_own else _UNUSED[monitor]:
        if variables.pop(variable, None) is not None:
            said[_member(variable)] = f"left out: it has no effect in monitor-{monitor}"
    variables["sagemaker_monitoring_schedule_name"] = description.name
    if endpoint := description.source.get("EndpointName"):
        variables["sagemaker_endpoint_name"] = str(endpoint)
    variables["output_path"] = "/".join(filter(None, (folder, endpoint, description.name, "%Y/%m/%d/%H")))
    for member, value in description.members:
        name = member.rpartition(".Environment.")[2]
        if variables.get(name) not in (None, value):
            said[member] = f"left out: {name} is {variables[name]}"
    analysis = Step(monitor, image, command, variables, arguments)
    if monitor not in _LABELLED:
        return (analysis,)
    if not description.ground_truth:
        told = {"name": description.name, "monitor": monitor, "field": "GroundTruthS3Input"}
        raise ConfigurationError.of("job_definition.no_ground_truth", **told)
    labels = {"ground_truth_source": description.ground_truth}
    if not endpoint:
        # What a transform writes is no capture that could be merged: its job joins labels while it reads.
        return (replace(analysis, variables=variables | labels),)
    merged = f"{folder}/merge"
    merging = {"dataset_source": captures, **labels, "output_path": merged}
    if key := description.output.get("KmsKeyId"):
        merging["output_kms_key"] = str(key)
    analysis = replace(analysis, variables=variables | {"dataset_source": merged})
    return Step(MERGE, ours, (MERGE,), merging | timing), analysis


def _member(variable: str) -> str:
    return variable.title().replace("_", "")


def _analysis_variables(description: Description, options: Options, said: dict[str, str]) -> dict[str, str]:
    """Return what an analysis needs besides its data, its window and its output."""
    source, application = description.source, description.application
    found = {
        "dataset_format": _dataset_format(description),
        "analysis_config": application.get("ConfigUri"),
        "problem_type": application.get("ProblemType"),
        **{variable: source.get(_member(variable)) for variable in _ATTRIBUTES},
        **_baseline(description, options, said),
        "record_preprocessor_script": application.get("RecordPreprocessorSourceUri"),
        "post_analytics_processor_script": application.get("PostAnalyticsProcessorSourceUri"),
        "output_kms_key": description.output.get("KmsKeyId") or None,
        "model": options.model,
        "rules": options.rules,
    }
    given = {name: text for name, text in description.environment.items() if name not in _LEFT_OUT}
    return {name: str(value) for name, value in found.items() if value is not None} | given


def _baseline(description: Description, options: Options, said: dict[str, str]) -> dict[str, str | None]:
    """Return where the documents of the baseline are; statistics lie beside their constraints."""
    baseline = description.baseline
    constraints = (baseline.get("ConstraintsResource") or {}).get("S3Uri")
    statistics = (baseline.get("StatisticsResource") or {}).get("S3Uri")
    made = options.baseline or description.made
    if not constraints and baseline.get("BaseliningJobName"):
        if not made:
            told = {"name": baseline["BaseliningJobName"], "field": "ConstraintsResource"}
            raise ConfigurationError.of("job_definition.no_baseline", **told)
        said["BaseliningJobName"] = f"changed: baseline_constraints, baseline_statistics: {made}"
        constraints = made.rstrip("/")
        # Clarify's jobs wrote none.
        statistics = statistics or (None if "ConfigUri" in description.application else constraints)
    elif constraints and not statistics and constraints.endswith("/constraints.json"):
        statistics = constraints.removesuffix("constraints.json") + "statistics.json"
        said["ConstraintsResource.S3Uri"] = "kept: baseline_constraints, and baseline_statistics beside it"
    return {"baseline_constraints": constraints, "baseline_statistics": statistics}


def _dataset_format(description: Description) -> str:
    shape, monitor = description.source.get("DatasetFormat"), description.monitor
    kind, told = "parquet", dict[str, Any]()
    if not shape:
        kind = "sagemakerMergeJson" if monitor in _LABELLED else "sagemakerCaptureJson"
        sides = {"data-quality": _CAPTURES, "model-quality": _CAPTURES[1:], "bias": _CAPTURES[::-1]}
        told = {"captureIndexNames": sides.get(monitor, _CAPTURES[:1])}
    elif "Parquet" not in shape:
        kind, member, name = ("json", "Line", "lines") if "Json" in shape else ("csv", "Header", "header")
        told = {name: str(shape.get(kind.title(), {}).get(member)).casefold() == "true"}
    return json.dumps({kind: told}, separators=(",", ":"))


def _captures(description: Description, options: Options, said: dict[str, str]) -> str:
    if options.captures:
        said["DataCaptureConfig.DestinationS3Uri"] = "left out: --captures says where captures are"
        return options.captures.rstrip("/")
    endpoint = description.source.get("EndpointName")
    if endpoint and description.destination:
        return f"{description.destination.rstrip('/')}/{endpoint}"
    if endpoint:
        raise ConfigurationError.of("job_definition.no_captures", endpoint=endpoint)
    where = description.source.get("DataCapturedDestinationS3Uri")
    raise ConfigurationError.of("job_definition.batch_captures", where=where)


def _output(description: Description, said: dict[str, str]) -> str:
    outputs = description.output.get("MonitoringOutputs") or []
    if not outputs or not (address := outputs[0].get("S3Output", {}).get("S3Uri")):
        raise ConfigurationError.of("job_definition.no_output", field="MonitoringOutputs")
    for path, _ in description.members:
        if re.search(r"MonitoringOutputs\[[1-9]", path):
            said[path] = "left out: all that a job writes goes to the first output"
    return str(address).rstrip("/")


def _timing(description: Description, cron: Cron | None, said: dict[str, str]) -> dict[str, str]:
    """Return the window's length and its offsets from the full hour of the run."""
    period, regular = hours_between(cron) if cron else (1, True)
    if cron:
        uneven = "" if regular else f"; runs are not always as far apart: each reads the last {period} hours"
        said["ScheduleExpression"] = f"changed: {cron}, UTC{uneven}"
    start, end = map(description.timing.get, ("DataAnalysisStartTime", "DataAnalysisEndTime"))
    first = _hours("DataAnalysisStartTime", start) if start else -period
    last = _hours("DataAnalysisEndTime", end) if end else 0
    if not first < last <= 0:
        told = {"start": start or f"-PT{period}H", "end": end or "-PT0H", "field": "DataAnalysisStartTime"}
        raise ConfigurationError.of("job_definition.analysis_window", **told)
    text = f"changed: the window begins {-first} and ends {-last} hours before the full hour of the run"
    said |= {"DataAnalysisStartTime": text, "DataAnalysisEndTime": text}
    timing, bounds = {"window": f"PT{last - first}H"}, []
    for end_of, bound in (("start", first), ("end", last)):
        name, member = f"{end_of}_time_offset", f"{end_of.title()}TimeOffset"
        written = str(description.source.get(member) or "")
        if start and end:
            written = ""
            said[member] = "left out: DataAnalysisStartTime and DataAnalysisEndTime are said, and win"
        bounds.append(parse_duration(member, written or "PT0H", "-PT1H") + timedelta(hours=bound))
        if last:
            hours = _hours(member, written or "PT0H") + last
            timing[name] = f"{'-' if hours < 0 else ''}PT{abs(hours)}H"
            said.setdefault(member, f"changed: {name} {timing[name]}, with DataAnalysisEndTime")
        elif written:
            timing[name] = written
    if bounds[0] >= bounds[1]:
        raise ConfigurationError.of("job_definition.offsets", field="StartTimeOffset")
    return timing


def _hours(member: str, text: str) -> int:
    hours, rest = divmod(parse_duration(member, text, "-PT1H"), timedelta(hours=1))
    if rest:
        raise ConfigurationError.of("job_definition.offset", field=member, text=text)
    return hours


def _resources(cluster: Mapping[str, Any]) -> dict[str, int | str]:
    instance = str(cluster.get("InstanceType", "ml.m5.xlarge"))
    processors, memory = 2, 4
    if match := re.fullmatch(r"ml\.([a-z])\w*\.(\d*)(x?)large", instance):
        processors = 4 * int(match[2] or 1) if match[3] else 2
        memory = processors * _GIBIBYTES_PER_PROCESSOR.get(match[1], 4)
    instances, volume = int(cluster.get("InstanceCount", 1)), int(cluster.get("VolumeSizeInGB", 20))
    found = {"processors": processors, "memory": memory * 1024, "instances": instances, "volume": volume}
    return found | {"instance_type": instance}


# Jobs written for one orchestrator each: Kubernetes, Argo, Docker Compose, SageMaker, Airflow.


# What every version of YAML reads as itself: no number, no date, nothing with a colon and a space.
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*")
_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
# Characters that some readers take for the end of a line.
_LINES = re.compile("[\r\x85\u2028\u2029\ufeff]")


class _Dumper(yaml.SafeDumper):  # type: ignore[misc] # PyYAML has no types
    """Writes plain words as they are, several lines as such, and any other text in quotes."""

    def ignore_aliases(self, _: Any) -> bool:
        """Write everything out, however often it occurs."""
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> Any:
        """Indent lists below their names."""
        return super().increase_indent(flow, False)


def _text(dumper: _Dumper, text: str) -> yaml.Node:
    style: str | None = '"'
    if _PLAIN.fullmatch(text) and text.casefold() not in _WORDS:
        style = None
    elif not _LINES.search(text) and (text.count("\n") > 1 or ('"' in text and "\n" not in text)):
        style = "|" if "\n" in text else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _text)


def dump(value: Any, header: str = "") -> str:
    """Return a document below its comment; texts that could be mistaken are quoted."""
    how = {"sort_keys": False, "allow_unicode": True, "width": 10**9, "default_flow_style": False}
    return header + str(yaml.dump(value, Dumper=_Dumper, **how))


def _json(value: Any) -> str:
    """Return a value as JSON in ASCII, which is YAML as well."""
    text = json.dumps(value, ensure_ascii=False)
    return re.sub("[^ -~]", lambda character: f"\\U{ord(character[0]):08x}", text)


def _literal(text: str) -> str:
    # Kubernetes puts a variable in place of $(NAME), and one dollar sign in place of two.
    return text.replace("$", "$$")


def _rendered(template: str, jobs: Jobs, finalize: Callable[[Any], Any] | None = None, **more: Any) -> str:
    """Return a template filled in with what it is to say; `finalize` writes each value."""
    environment = jinja2.Environment(  # noqa: S701 - it writes no HTML
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        finalize=finalize,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["literal"] = _literal
    return environment.get_template(template).render(jobs._asdict() | more)


def _filled(template: str, jobs: Jobs, **more: Any) -> Any:
    """Return the values of a YAML template."""
    return yaml.safe_load(_rendered(template, jobs, _json, **more))


def for_kubernetes(jobs: Jobs) -> str:
    """Return the manifest's text for Kubernetes."""
    return dump(_filled("kubernetes.yaml", jobs)["document"], jobs.header("kubernetes"))


def for_argo(jobs: Jobs) -> str:
    """Return the manifest's text for Argo."""
    for name, text in ((name, text) for step in jobs.steps for name, text in step.variables.items()):
        if "{{" in text:
            raise ConfigurationError.of("argo.braces", field=name, text=json.dumps(text))
    return dump(_filled("argo.yaml", jobs)["document"], jobs.header("argo"))


def for_compose(jobs: Jobs) -> str:
    """Return the file's text for Docker Compose.

    Raises
    ------
    ConfigurationError
        When an image of one's own says no entry point, which the loop has to call.
    """
    work = " &&\n".join(_call(step, jobs.description.seconds) for step in jobs.steps)
    script = _rendered("compose.sh", jobs, work=work) if jobs.cron else f"{work}\n"
    return dump(_filled("compose.yaml", jobs, script=script), jobs.header("compose"))


def _call(step: Step, seconds: int) -> str:
    if not step.command:
        raise ConfigurationError.of("job_definition.no_entrypoint", image=step.image)
    words = ["env", *(f"{name}={text}" for name, text in step.variables.items())]
    words += ["timeout", str(seconds), *step.command, *step.arguments]
    return _literal("  " + " \\\n    ".join(map(shlex.quote, words)))


def for_sagemaker(jobs: Jobs) -> str:
    """Return the text of a CloudFormation stack."""
    # The scheduler's identifier has 36 characters, a job's name at most 63. With a digest always, so that no
    # schedule's jobs begin as those of another do, whose alarms they would raise.
    prefix = unique_name(jobs.description.name, 26, always=True) + "-"
    job = _filled("processing_job.yaml", jobs, prefix=prefix, variables=_joined_variables(jobs))
    request = json.dumps(job, indent=1, separators=(",", ": "), ensure_ascii=False).replace("${", "${!")
    # Whatever looks like a parameter in a text of the schedule stays as it is.
    request = re.sub(r"\\u0000(\w+)", r"${\1}", request)
    stack = _filled("sagemaker.yaml", jobs, prefix=prefix, expression=_expression(jobs), request=request)
    return dump(stack, jobs.header("sagemaker"))


def _joined_variables(jobs: Jobs) -> dict[str, str]:
    """Return the variables of one job that joins labels while it reads."""
    *before, last = jobs.steps
    variables = dict(last.variables)
    for merging in before:
        variables |= {name: merging.variables[name] for name in ("dataset_source", "ground_truth_source")}
        variables["dataset_format"] = variables["dataset_format"].replace("MergeJson", "CaptureJson")
    kept = {name: text for name, text in jobs.description.environment.items() if name in PLATFORM}
    return {**variables, **kept}


def _expression(jobs: Jobs) -> str:
    if jobs.cron is None:
        # The past is refused; whoever deploys says when.
        return "at(2030-01-01T00:00:00)"
    minute, hour, day, month, weekday = jobs.cron.fields(first_weekday=1)
    day, weekday = ("?", weekday) if weekday != "*" else (day, "?")
    return f"cron({minute} {hour} {day} {month} {weekday} *)"


def for_airflow(jobs: Jobs, operator: Literal["docker", "kubernetes"] = "docker") -> str:
    """Return the DAG's text for Airflow, with DockerOperator or KubernetesPodOperator."""
    parts = ("image", "command", "arguments", "variables")
    steps = {step.name: {part: getattr(step, part) for part in parts} for step in jobs.steps}
    written = json.dumps(steps, indent=4, ensure_ascii=False)
    told: dict[str, Any] = {"operator": operator, "name": json.dumps(jobs.name)}
    told["steps"] = _literal(written) if operator == "kubernetes" else written
    text = _rendered("airflow.py.jinja", jobs, schedule=jobs.cron and json.dumps(str(jobs.cron)), **told)
    return jobs.header("airflow" if operator == "docker" else "airflow-kubernetes") + text


# By the names that users give them.
WRITERS: dict[str, Callable[[Jobs], str]] = {
    "kubernetes": for_kubernetes,
    "sagemaker": for_sagemaker,
    "airflow": for_airflow,
    "airflow-kubernetes": lambda jobs: for_airflow(jobs, "kubernetes"),
    "argo": for_argo,
    "compose": for_compose,
}
