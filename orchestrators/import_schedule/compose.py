"""A schedule as a service of Docker Compose that waits for its hour, works, and waits again."""

from __future__ import annotations

import re
import shlex
from typing import Any

from contract.errors import ConfigurationError
from orchestrators.import_schedule.jobs import Jobs, Step, first_run, hours_between
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
# Dollar signs are Compose's own; two of them are one of the shell's.
_LOOP = """\
trap 'exit 143' TERM
while :; do
  sleep $$(({seconds} - ($$(date +%s) - {offset}) % {seconds})) & wait $$!
{work}
done"""


def manifest(jobs: Jobs) -> str:
    """Return the file's text.

    Raises
    ------
    ConfigurationError
        When the schedule is none of regular stretches, which a loop cannot wait for.
    """
    service = {
        "image": jobs.steps[-1].image,
        "entrypoint": ["sh", "-c"],
        "command": [_script(jobs) + "\n"],
        "environment": [*(f"{name}=${{{name}:-}}" for name in _CREDENTIALS), "HOME=/tmp"],
        "restart": "no" if jobs.cron is None else "unless-stopped",
        "init": True,
        "user": "10001:10001",
        "read_only": True,
        "tmpfs": ["/tmp:mode=1777"],  # noqa: S108 - memory of the container's own
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        # Docker refuses more processors than the machine has, so only memory is limited.
        "mem_limit": f"{jobs.resources.memory}m",
    }
    return dump({"version": "2.4", "services": {jobs.name: service}}, (*jobs.notes, *HOW))


def _script(jobs: Jobs) -> str:
    order = " &&\n".join(_call(step, jobs.seconds) for step in jobs.steps)
    if jobs.cron is None:
        return order
    hours, regular = hours_between(jobs.cron)
    if not regular:
        raise ConfigurationError(
            f"The schedule {jobs.cron} does not run at regular stretches, which is all that Compose can wait "
            "for; choose another orchestrator, for example --to kubernetes."
        )
    offset = first_run(jobs.cron) * 60 % (hours * 3600)
    work = "\n".join(f"  {line}" for line in order.split("\n"))
    return _LOOP.format(seconds=hours * 3600, offset=offset, work=work)


def _call(step: Step, seconds: int) -> str:
    words: list[Any] = ["env", *(f"{name}={text}" for name, text in step.variables.items())]
    words += ["timeout", str(seconds), *step.command]
    text = " \\\n  ".join(shlex.quote(str(word)) for word in words)
    return re.sub(r"\$", "$$$$", text)
