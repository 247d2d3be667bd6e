"""`audit`: what a prepared corpus contains, and what its splits share."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mme2e.auditing.result import Audit

AUDIT_FOLDER = "audit"


def audit(corpus: str | Path, *, out: str | Path | None = None) -> "Audit":
    """Reports what a prepared corpus contains and what its splits share.

    Writes audit.json, audit.md and audit.png. Faces and audio are not read: an audit of a large corpus takes seconds.
    The exit status is 1 when test recordings are in training, unless the split protocol declares it: the published
    lists of IEMOCAP share recordings by design.

    Args:
        corpus: Prepared corpus.
        out: Folder for audit.json, audit.md and audit.png; CORPUS/audit when not given.

    Raises:
        UserError: There is no such corpus, it has a newer schema, one of its files is damaged, it has a label that it
            does not declare, or the report cannot be written.
    """
    from mme2e import console
    from mme2e.auditing.report import write_audit
    from mme2e.auditing.run import audit_corpus
    from mme2e.data.corpus import load_corpus

    opened = load_corpus(Path(corpus))
    with console.waiting(f"reading {opened.folder}"):
        found = audit_corpus(opened)
    write_audit(found, opened.folder / AUDIT_FOLDER if out is None else Path(out))
    return found
