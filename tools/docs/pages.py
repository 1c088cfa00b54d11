"""`make docs`: writes what docs/ has from the code. A test compares, so that no page goes stale."""

from __future__ import annotations

import re
from pathlib import Path

from tools.docs.interfaces import Interfaces, read_interfaces, services_table, topics_table
from tools.docs.pictures import LOOP, STATES
from tools.docs.study import study_tables
from wam_ros.core.files import write_whole
from wam_ros.ros.params import to_markdown

DOCS = Path(__file__).resolve().parents[2] / "docs"
PICTURES = {"loop.svg": LOOP, "states.svg": STATES}
PARAMETERS = """# Parameters of every node

Written by `make docs` from the dataclasses that declare them; `ros2 param describe` tells the same.
`config/<node>.yaml` holds the values that the launch files use. Each is checked when it is set, and
can be set while its node is unconfigured.
"""


def pictures() -> dict[str, str]:
    """The pictures, by file name."""
    return {name: picture.svg() for name, picture in PICTURES.items()}


def pages(found: Interfaces) -> dict[str, str]:
    """The pages that hold tables, by file name, as they should be."""
    text = (DOCS / "architecture.md").read_text()
    for name, table in (("topics", topics_table(found)), ("services", services_table(found))):
        text = filled(text, name, table)
    study = (DOCS / "imagination.md").read_text()
    for name, table in study_tables(DOCS / "results").items():
        study = filled(study, name, table)
    return {
        "architecture.md": text,
        "parameters.md": parameters_page(found),
        "imagination.md": study,
    }


def filled(text: str, name: str, table: str) -> str:
    """A page with a table between the two comments of that name."""
    begin = f"<!-- {name}: written by make docs -->"
    end = f"<!-- end of {name} -->"
    whole = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if len(whole.findall(text)) != 1:
        raise SystemExit(f"a page of docs/ must have one '{begin}' and one '{end}'")
    return whole.sub(lambda _: f"{begin}\n{table}{end}", text)


def parameters_page(found: Interfaces) -> str:
    """One table per node."""
    tables = [f"## {node}\n\n{to_markdown(*classes)}" for node, classes in found.parameters.items()]
    return "\n".join((PARAMETERS, *tables))


def main() -> None:
    """Write them."""
    for name, text in {**pictures(), **pages(read_interfaces())}.items():
        write_whole(DOCS / name, text)


if __name__ == "__main__":
    main()
