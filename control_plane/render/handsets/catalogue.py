"""Which handsets there are: a vendor's models stand in its `models.csv`, one line each."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from importlib.resources import files

from control_plane.errors import UnknownEntity
from control_plane.render.handsets.family import FEATURES, CatalogueModel, Family

COLUMNS = ("family", "name", "lines", "keys", "hardware_code")
PAGED_COLUMNS = (*COLUMNS, "page")
"""For makes that number their keys page by page."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+-]{0,39}")
_CODE = re.compile(r"[A-Za-z0-9._-]{0,40}")


def load_models(vendor: str) -> tuple[CatalogueModel, ...]:
    """The models of a vendor, in the order of its file.

    Raises:
        ValueError: a line is wrong; the text says which.
    """
    text = (files("asterisk_templates") / "handsets" / vendor / "models.csv").read_text(encoding="utf-8")
    return tuple(parse_models(vendor, text))


def parse_models(vendor: str, text: str) -> Iterator[CatalogueModel]:
    """The models of a `models.csv`.

    Raises:
        ValueError: a line is wrong; the text says which.
    """
    rows = csv.reader(text.splitlines())
    columns = tuple(next(rows, ()))
    if columns not in (COLUMNS, PAGED_COLUMNS):
        raise ValueError(f"{vendor}/models.csv: the first line must be {','.join(COLUMNS)}")
    names: set[str] = set()
    for row in rows:
        where = f"{vendor}/models.csv, line {rows.line_num}"
        if len(row) != len(columns):
            raise ValueError(f"{where}: must have {len(columns)} columns")
        family, name, lines, keys, code, page = (*row, "0")[: len(PAGED_COLUMNS)]
        if not family or not _NAME.fullmatch(name) or not _CODE.fullmatch(code):
            raise ValueError(f"{where}: family, name or hardware code is not a plain word")
        if name.lower() in names:
            raise ValueError(f"{where}: {name} stands here twice")
        if not (lines.isdigit() and keys.isdigit() and int(lines)):
            raise ValueError(f"{where}: lines and keys must be numbers, lines at least 1")
        if columns == PAGED_COLUMNS and not (page.isdigit() if int(keys) else not page):
            raise ValueError(f"{where}: page must be a number when there are keys")
        names.add(name.lower())
        yield CatalogueModel(vendor, family, name, int(lines), int(keys), code, int(page or 0))


class Catalogue:
    """All families and models. Names of models are unique without regard to case.

    Raises:
        ValueError: a model is of no known family, a family has no model, or something is there twice.
    """

    def __init__(self, families: Iterable[Family], models: Iterable[CatalogueModel]) -> None:
        self.families = tuple(families)
        self.models = tuple(models)
        self._families = {family.id: family for family in self.families}
        self._models = {model.name.lower(): model for model in self.models}
        if len(self._families) != len(self.families) or len(self._models) != len(self.models):
            raise ValueError("a family or a model is in the catalogue twice")
        of_models = {(model.vendor, model.family) for model in self.models}
        of_families = {(family.vendor, family.id) for family in self.families}
        if of_models != of_families:
            raise ValueError(f"families and models do not fit together: {sorted(of_models ^ of_families)}")
        for family in self.families:
            if unknown := family.supports - set(FEATURES):
                raise ValueError(f"{family.id}: no such feature: {sorted(unknown)}")

    def model(self, name: str) -> CatalogueModel:
        """The model of this name.

        Raises:
            UnknownEntity: there is none.
        """
        try:
            return self._models[name.lower()]
        except KeyError:
            raise UnknownEntity("handset model", name) from None

    def family(self, model: CatalogueModel) -> Family:
        """The family a model belongs to."""
        return self._families[model.family]

    def models_of(self, family: Family) -> tuple[CatalogueModel, ...]:
        """The models of a family, in the order of the vendor's file."""
        return tuple(model for model in self.models if model.family == family.id)
