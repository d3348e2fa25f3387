"""Options that several groups of commands take, each in one wording."""

from __future__ import annotations

from typing import Annotated

import typer

OrgOption = Annotated[str, typer.Option("--org", help="Organisation.")]
SiteOption = Annotated[str | None, typer.Option("--site", help="Site; not needed where there is one.")]
FittingOrgOption = Annotated[
    str | None, typer.Option("--org", help="Organisation; not needed where one fits.")
]
FittingSiteOption = Annotated[str | None, typer.Option("--site", help="Site; not needed where one fits.")]
OnlyOrgOption = Annotated[str | None, typer.Option("--org", help="Only of this organisation.")]
OnlySiteOption = Annotated[str | None, typer.Option("--site", help="Only at this site.")]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Show what would be pushed and published; save nothing.")
]
