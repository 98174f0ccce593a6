"""A schedule as a service of Docker Compose that waits for its hour, works, and waits again."""

from __future__ import annotations

import shlex
from typing import Any

from contract.errors import ConfigurationError
from orchestrators.import_schedule.jobs import Jobs, Step
from orchestrators.import_schedule.yaml_text import dump

HOW = (
    "docker-compose --file FILE up --detach",
    (
        "Credentials for S3: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL of the "
        "shell, or of a file .env beside this one, reach the service."
    ),
)
_CREDENTIALS = (
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    *("AWS_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"),
)
# Dollar signs are Compose's own; two of them are one of the shell's. Every hour it looks whether it is due.
_LOOP = """\
trap 'exit 143' TERM
while :; do
  sleep $$((3600 - ($$(date +%s) - {offset}) % 3600)) & wait $$!
  {conditions}
{work}
done"""


def manifest(jobs: Jobs) -> str:
    """Return the file's text.

    Raises
    ------
    ConfigurationError
        When an image of one's own says no entry point, which the loop has to call.
    """
    service = {
        "image": jobs.steps[-1].image,
        "entrypoint": ["sh", "-c"],
        "command": [_script(jobs) + "\n"],
        "environment": [*(f"{name}=${{{name}:-}}" for name in _CREDENTIALS), "HOME=/tmp"],
        "restart": "no" if jobs.cron is None else "unless-stopped",
        # Compose starts no service with a profile by itself.
        **({"profiles": ["stopped"]} if jobs.description.stopped else {}),
        "init": True,
        "user": "10001:10001",
        "read_only": True,
        "tmpfs": ["/tmp:mode=1777"],  # noqa: S108 - memory of the container's own
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        # Docker refuses more processors than the machine has, so only memory is limited.
        "mem_limit": f"{jobs.resources.memory}m",
    }
    return dump({"version": "2.4", "services": {jobs.name: service}}, jobs.header("compose", HOW))


def _script(jobs: Jobs) -> str:
    order = " &&\n".join(_call(step, jobs.description.seconds) for step in jobs.steps)
    if jobs.cron is None:
        return order
    cron, conditions = jobs.cron, []
    due = (("%H", cron.hours), ("%d", cron.days), ("%m", cron.months), ("%w", cron.weekdays))
    for (field, values), text in zip(due, cron.fields()[1:], strict=True):
        if text != "*":
            listed = "|".join(str(value) if field == "%w" else f"{value:02}" for value in values)
            conditions.append(f"case $$(date -u +{field}) in {listed}) ;; *) continue ;; esac")
    return _LOOP.format(offset=cron.minute * 60, conditions="\n  ".join(conditions) or ":", work=order)


def _call(step: Step, seconds: int) -> str:
    if not step.command:
        raise ConfigurationError.of("job_definition.no_entrypoint", image=step.image)
    words: list[Any] = ["env", *(f"{name}={text}" for name, text in step.variables.items())]
    words += ["timeout", str(seconds), *step.command, *step.arguments]
    text = "  " + " \\\n    ".join(shlex.quote(str(word)) for word in words)
    return text.replace("$", "$$")
