"""Mirror of releases as git tags of GTO: one per version, and one per change of the champion."""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from cll.types.errors import Unavailable
from cll.types.verdicts import Released
from cll.vcs.commands import git

Name = Annotated[str, Field(pattern=r"^[a-z]([a-z0-9-]*[a-z0-9])?$")]

_SECONDS = 2.0  # longest wait for a tag's second to pass


@dataclass(frozen=True)
class Gto:
    """Brings GTO's tags in line with the ledger; a tag that contradicts it is removed."""

    artifact: Name = "failure-model"
    stage: Name = "production"

    def __call__(self, root: Path, releases: Sequence[Released], in_force: str) -> list[str]:
        api, changes = _api(), []
        existing = self._versions(root)
        wanted = {release.version: release for release in releases}
        for version, commit in existing.items():
            if version not in wanted or wanted[version].commit != commit:
                git(root, "tag", "--delete", f"{self.artifact}@{version}")
                why = "not at its release's commit" if version in wanted else "never released"
                changes.append(f"{self.artifact}@{version}: removed, {why}.")
        existing = self._versions(root)
        for release in (release for release in releases if release.version not in existing):
            # The version is explicit: after a deprecation, GTO would propose a used one again.
            api.register(
                str(root),
                self.artifact,
                ref=release.commit,
                version=release.version,
                message=release.says,
            )
            changes.append(f"{self.artifact}@{release.version}: at {release.commit[:12]}.")
        return changes + self._assign_stage(api, root, in_force)

    def _assign_stage(self, api: Any, root: Path, version: str) -> list[str]:
        """Make the champion the only version in the stage.

        Of several versions in a stage, GTO shows the highest and DVC the one tagged last.
        """
        staged = self._staged(api, root)
        if staged == [version]:
            return []
        self._wait_a_second(root)
        for other in (name for name in staged if name != version):
            api.unassign(str(root), self.artifact, stage=self.stage, version=other)
        self._wait_a_second(root)
        # force: GTO refuses a version that was in this stage before.
        api.assign(str(root), self.artifact, self.stage, version=version, force=True)
        if self._staged(api, root) != [version]:
            raise Unavailable(
                f"{self.artifact}#{self.stage}: GTO does not show {version}; run `gto show`."
            )
        return [f"{self.artifact}#{self.stage}: {version}."]

    def _wait_a_second(self, root: Path) -> None:
        """Wait until a new tag gets a later time than the last one; GTO orders tags by whole seconds."""
        last = git(
            root,
            "for-each-ref",
            "--sort=-creatordate",
            "--count=1",
            "--format=%(creatordate:unix)",
            f"refs/tags/{self.artifact}#{self.stage}*",
        )
        ahead = int(last or 0) + 1 - time.time()
        if ahead > _SECONDS:
            raise Unavailable(
                f"{self.artifact}#{self.stage}: its last tag is {ahead:.0f} s in the future; set the"
                " clock, or remove that tag."
            )
        time.sleep(max(0.0, ahead))

    def _versions(self, root: Path) -> dict[str, str]:
        """Return the commit of each tagged version.

        The commit is "" for a tag without annotation.
        """
        form = "--format=%(refname:strip=2) %(*objectname)"
        lines = git(root, "for-each-ref", form, f"refs/tags/{self.artifact}@*").splitlines()
        matches = (re.fullmatch(r".*@(v[0-9.]+) ([0-9a-f]*)", line) for line in lines)
        return {match[1]: match[2] for match in matches if match}

    def _staged(self, api: Any, root: Path) -> list[str]:
        """Return the versions in the stage."""
        versions = api.find_versions_in_stage(
            str(root), self.artifact, self.stage, versions_per_stage=-1
        )
        return [entry.version for entry in versions or ()]


def _api() -> Any:
    try:
        import gto.api  # noqa: PLC0415  heavy, and an extra
    except ImportError:
        raise Unavailable('mirror=gto: GTO is not installed; install cll with "gto".') from None
    return gto.api
