"""Releases as GTO's tags in git: one a version, and one more each time another comes into force."""

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

_SECONDS = 2.0  # that may have to pass


@dataclass(frozen=True)
class Gto:
    """Makes the tags say what the ledger says; a tag that says otherwise goes."""

    artifact: Name = "failure-model"
    stage: Name = "production"

    def __call__(self, root: Path, releases: Sequence[Released], in_force: str) -> list[str]:
        api, said = _api(), []
        there = self._versions(root)
        wanted = {one.version: one for one in releases}
        for version, commit in there.items():
            if version not in wanted or wanted[version].commit != commit:
                git(root, "tag", "--delete", f"{self.artifact}@{version}")
                why = "not of its release's commit" if version in wanted else "never released"
                said.append(f"{self.artifact}@{version}: removed, {why}.")
        there = self._versions(root)
        for one in (one for one in releases if one.version not in there):
            # An explicit version: after a deprecation, GTO's own count would propose one again.
            api.register(
                str(root), self.artifact, ref=one.commit, version=one.version, message=one.says
            )
            said.append(f"{self.artifact}@{one.version}: at {one.commit[:12]}.")
        return said + self._put_in_force(api, root, in_force)

    def _put_in_force(self, api: Any, root: Path, version: str) -> list[str]:
        """Leave one version in the stage: GTO names the highest that is, DVC the newest tag's."""
        there = self._staged(api, root)
        if there == [version]:
            return []
        self._let_a_second_pass(root)
        for other in (one for one in there if one != version):
            api.unassign(str(root), self.artifact, stage=self.stage, version=other)
        self._let_a_second_pass(root)
        # force: an earlier version was in this stage before, which GTO else takes for a mistake.
        api.assign(str(root), self.artifact, self.stage, version=version, force=True)
        if self._staged(api, root) != [version]:
            raise Unavailable(
                f"{self.artifact}#{self.stage}: GTO does not say {version}; run `gto show`."
            )
        return [f"{self.artifact}#{self.stage}: {version}."]

    def _let_a_second_pass(self, root: Path) -> None:
        """Wait until a new tag is newer than the last one: GTO orders them by their second."""
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
        """Return version -> commit, of the tags that there are; a tag without a record has none."""
        form = "--format=%(refname:strip=2) %(*objectname)"
        lines = git(root, "for-each-ref", form, f"refs/tags/{self.artifact}@*").splitlines()
        found = (re.fullmatch(r".*@(v[0-9.]+) ([0-9a-f]*)", line) for line in lines)
        return {match[1]: match[2] for match in found if match}

    def _staged(self, api: Any, root: Path) -> list[str]:
        """List the versions in the stage."""
        found = api.find_versions_in_stage(
            str(root), self.artifact, self.stage, versions_per_stage=-1
        )
        return [one.version for one in found or ()]


def _api() -> Any:
    try:
        import gto.api  # noqa: PLC0415  heavy, and an extra
    except ImportError:
        raise Unavailable('mirror=gto: GTO is not installed; install cll with "gto".') from None
    return gto.api
