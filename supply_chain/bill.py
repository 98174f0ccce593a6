"""A bill of materials of an image in the format of CycloneDX 1.6, and its licences as a page."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from cyclonedx.factory.license import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL
from packaging.requirements import Requirement

from supply_chain.licences import licence_of

_FACTORY = LicenseFactory()
_SHOWN_FILES = 3


def bill_of_materials(image: str, identifier: str, inventory: dict[str, Any], created: datetime) -> str:
    """Return the JSON text of a bill of materials; the same image has the same.

    Parameters
    ----------
    image
        Its name and tag.
    identifier
        Of its content: ``sha256:...``.
    inventory
        What `supply_chain.inventory` printed in it.
    created
        The time the bill is to bear.
    """
    bom = Bom(serial_number=uuid.uuid5(uuid.NAMESPACE_URL, identifier))
    bom.metadata.timestamp = created
    name, _, tag = image.partition(":")
    root = Component(name=name, version=tag or None, type=ComponentType.CONTAINER, bom_ref=identifier)
    bom.metadata.component = root
    distributions = {_normal(one["name"]): (one, _distribution(one)) for one in inventory["distributions"]}
    for one, component in distributions.values():
        bom.components.add(component)
        needed = (
            distributions[name][1] for name in _required(one, inventory["python"]) if name in distributions
        )
        bom.register_dependency(component, needed)
    others = [*_base(inventory), *_interpreter(inventory)]
    for component in others:
        bom.components.add(component)
    bom.register_dependency(root, [*(component for _, component in distributions.values()), *others])
    outputter = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6)
    return f"{outputter.output_as_string(indent=1)}\n"


def licence_page(image: str, inventory: dict[str, Any]) -> str:
    """Return Markdown that lists the licence of everything in an image."""
    python = [
        (one["name"], one["version"], licence_of(one), _shown(one["licence_files"]))
        for one in inventory["distributions"]
    ]
    bundled = [
        (part["name"], part.get("version", ""), ", ".join(_licences(part)) or "not stated", one["name"])
        for one in inventory["distributions"]
        for part in _bundled(one)
    ]
    debian = [
        (
            one["name"],
            one["version"],
            ", ".join(one["licences"]) or "see its file",
            f"`/usr/share/doc/{one['name']}/copyright`",
        )
        for one in inventory["debian_packages"]
    ]
    parts = [f"# Licences in {image}\n"]
    parts += _table("Python packages", ("package", "version", "licence", "texts in site-packages"), python)
    parts += _table("Bundled in those packages, as they state", ("part", "version", "licence", "in"), bundled)
    title = f"Packages of the base image ({inventory['system']['PRETTY_NAME']})"
    parts += _table(title, ("package", "version", "licences of its parts", "text"), debian)
    return "\n".join(parts)


def _distribution(one: dict[str, Any]) -> Component:
    component = Component(
        name=one["name"],
        version=one["version"],
        description=one["summary"],
        licenses=[_FACTORY.make_from_string(licence_of(one))],
        purl=PackageURL("pypi", name=_normal(one["name"]), version=one["version"]),
        bom_ref=f"pypi:{_normal(one['name'])}",
    )
    for part in _bundled(one):
        component.components.add(
            Component(
                name=part["name"],
                version=part.get("version"),
                licenses=[_FACTORY.make_from_string(text) for text in _licences(part)],
                purl=PackageURL.from_string(part["purl"]) if part.get("purl") else None,
                bom_ref=f"pypi:{_normal(one['name'])}:{part['name']}@{part.get('version')}",
            )
        )
    return component


def _base(inventory: dict[str, Any]) -> Iterator[Component]:
    system = inventory["system"]
    for one in inventory["debian_packages"]:
        yield Component(
            name=one["name"],
            version=one["version"],
            licenses=[_FACTORY.make_with_name(name) for name in one["licences"]],
            purl=PackageURL(
                "deb",
                system["ID"],
                one["name"],
                one["version"],
                {"arch": one["architecture"], "distro": f"{system['ID']}-{system['VERSION_ID']}"},
            ),
            bom_ref=f"deb:{one['name']}:{one['architecture']}",
        )


def _interpreter(inventory: dict[str, Any]) -> Iterator[Component]:
    """Yield Python itself, where no package of the base brings it."""
    if not inventory["python_is_packaged"]:
        version = inventory["python"]
        yield Component(
            name="python",
            version=version,
            type=ComponentType.PLATFORM,
            licenses=[_FACTORY.make_with_id("PSF-2.0")],
            purl=PackageURL("generic", name="python", version=version),
            bom_ref="python",
        )


def _bundled(one: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the parts that a wheel says it bundles, itself apart, each once and in order."""
    parts = {
        (part["name"], part.get("version", "")): part
        for bill in one["bundled"]
        for part in bill.get("components", ())
        if _normal(part["name"]) != _normal(one["name"])
    }
    return [parts[key] for key in sorted(parts)]


def _licences(part: dict[str, Any]) -> list[str]:
    choices = part.get("licenses") or ()
    named = (choice.get("license") or {} for choice in choices)
    texts = [choice["expression"] for choice in choices if "expression" in choice]
    return texts or [text for one in named if (text := one.get("id") or one.get("name"))]


def _required(one: dict[str, Any], python: str) -> set[str]:
    """Return the normal names of what a distribution needs without extras, under the image's Python."""
    versions = {"python_full_version": python, "python_version": ".".join(python.split(".")[:2]), "extra": ""}
    requirements = map(Requirement, one["requires"])
    return {
        _normal(requirement.name)
        for requirement in requirements
        if requirement.marker is None or requirement.marker.evaluate(versions)
    }


def _normal(name: str) -> str:
    """Return a name as package indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _shown(names: list[str]) -> str:
    """Return file names for a cell; of many, those with the shortest names."""
    first = sorted(names, key=lambda name: (len(name), name))[:_SHOWN_FILES]
    text = ", ".join(f"`{name}`" for name in first)
    return text if len(names) == len(first) else f"{text} and {len(names) - len(first)} more"


def _table(title: str, header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    rows = list(rows)
    if not rows:
        return []
    lines = [header, ("---",) * len(header), *rows]
    cells = ([cell.replace("|", "\\|") for cell in line] for line in lines)
    return [f"## {title}\n", *(f"| {' | '.join(line)} |" for line in cells), ""]


def moment(seconds: int) -> datetime:
    """Return the time that many seconds after 1970 began, in UTC."""
    return datetime.fromtimestamp(seconds, UTC)
