"""Jobs written for one orchestrator each: Kubernetes, Argo, Docker Compose, SageMaker, Airflow."""

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import jinja2
import yaml  # type: ignore[import-untyped] # it has no types of its own

from contract.errors import ConfigurationError
from orchestrators.import_schedule.jobs import PLATFORM, Jobs, Step, unique_name

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
    told: dict[str, Any] = {"operator": operator, "name": json.dumps(jobs.name), "steps": written}
    if operator == "kubernetes":
        told["steps"] = _literal(written)
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
