"""Tables of collections as manifests, and archives unpacked."""

import csv
import io
import tarfile
from pathlib import Path

import pytest

from mme2e.corpora.manifest import read_manifest
from mme2e.errors import UserError
from mme2e.starter.archives import unpack
from mme2e.starter.recipe import CollectionSettings
from mme2e.starter.tables import write_manifest

LABELS = ("happy", "sad")


def settings(**changes: object) -> CollectionSettings:
    return CollectionSettings(**({"layout": "manifest", "path": "table.csv"} | changes))  # type: ignore[arg-type]


def written(tmp_path: Path, table: str, **changes: object) -> list[dict[str, str]]:
    (tmp_path / "table.csv").write_text(table, encoding="utf-8")
    out = tmp_path / "manifests" / "new.csv"
    count = write_manifest("new", settings(**changes), LABELS, tmp_path / "table.csv", tmp_path / "media", out)
    with out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == count
    return rows


def test_rows_columns_paths_and_recordings(tmp_path):
    table = "Image,label,person,split,clear,source,dialogue\n" + "".join(
        f"{i}.png,happy,p{i},train,{i % 3},web,3\n" for i in range(6)
    )
    rows = written(tmp_path, table, where={"clear": "1"}, columns={"face_crop": "yes"}, recordings_of=1)
    media = tmp_path / "media"
    assert rows == [
        {
            "images": str(media / f"{i}.png"), "labels": "happy", "speaker": f"p{i}", "split": "train",
            "face_crop": "yes", "recording": f"new{number:03d}",
        }
        for number, i in enumerate((1, 4))
    ]  # fmt: skip


def test_a_manifest_is_what_it_makes(tmp_path):
    rows = written(tmp_path, 'text,label,dialogue\n"a, b",happy,1\nc,sad,1\n')
    assert [row["dialogue"] for row in rows] == ["1", "1"]
    assert [each.text for each in read_manifest(tmp_path / "manifests" / "new.csv").utterances] == ["a, b", "c"]


def test_votes_of_our_labels_only(tmp_path):
    table = "text,label,v_glad,v_sad,v_NF\nx,glad,3,1,6\n"
    renamed = {"rename": {"glad": "happy"}}
    assert list(written(tmp_path, table, votes=True, **renamed)[0]) == ["text", "labels", "v_glad", "v_sad"]
    assert list(written(tmp_path, table, **renamed)[0]) == ["text", "labels"]


def test_what_is_the_same_is_not_written_again(tmp_path):
    written(tmp_path, "text,label\nx,sad\n")
    before = (tmp_path / "manifests" / "new.csv").stat().st_mtime_ns
    written(tmp_path, "text,label\nx,sad\n")
    assert (tmp_path / "manifests" / "new.csv").stat().st_mtime_ns == before


def test_a_broken_row_is_left_out_and_named(tmp_path, caplog):
    assert [row["text"] for row in written(tmp_path, "text,label\nx,sad\ny\nz,sad\n")] == ["x", "z"]
    assert "table.csv:3 is left out: 1 cells, expected 2" in caplog.text


def test_tables_that_cannot_be_used(tmp_path):
    with pytest.raises(UserError, match=r"has no column clear; it has text, label"):
        written(tmp_path, "text,label\nx,sad\n", where={"clear": "1"})
    with pytest.raises(UserError, match=r"has no row with text y"):
        written(tmp_path, "text,label\nx,sad\n", where={"text": "y"})
    with pytest.raises(UserError, match=r"table\.csv:2 is broken CSV"):
        written(tmp_path, 'text,label\n"x,sad\n')


def archive(path: Path, *members: tuple[str, bytes | None]) -> Path:
    """A tar file; a member without content is a link."""
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            if content is None:
                member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
            else:
                member.size = len(content)
            tar.addfile(member, io.BytesIO(content or b""))
    return path


def test_an_archive_is_unpacked_once(tmp_path):
    file = archive(tmp_path / "a.tar", ("faces/x.png", b"one"), ("y", b"two"))
    assert unpack(file, tmp_path / "out" / "a")
    assert (tmp_path / "out" / "a" / "faces" / "x.png").read_bytes() == b"one"
    assert (tmp_path / "out" / "a" / "y").read_bytes() == b"two"
    file.unlink()
    assert not unpack(file, tmp_path / "out" / "a")


@pytest.mark.parametrize("name", ["../x", "/tmp/x", "a/../../x", "..\\x"])
def test_paths_that_lead_out_are_refused(tmp_path, name):
    file = archive(tmp_path / "a.tar", ("y", b"two"), (name, b"one"))
    with pytest.raises(UserError, match="which is no file within the archive's folder"):
        unpack(file, tmp_path / "out" / "a")
    assert not (tmp_path / "out" / "a").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar", "out"]


def test_archives_that_are_refused(tmp_path):
    with pytest.raises(UserError, match="'link', which is no file"):
        unpack(archive(tmp_path / "a.tar", ("link", None)), tmp_path / "out")
    with pytest.raises(UserError, match="'x' twice"):
        unpack(archive(tmp_path / "b.tar", ("x", b"1"), ("x", b"2")), tmp_path / "out")
    with pytest.raises(UserError, match="more than 1 files"):
        unpack(archive(tmp_path / "c.tar", ("x", b"1"), ("y", b"2")), tmp_path / "out", most_files=1)
    with pytest.raises(UserError, match="or 3 bytes"):
        unpack(archive(tmp_path / "d.tar", ("x", b"1234")), tmp_path / "out", most_bytes=3)
    (tmp_path / "e.tar").write_bytes(b"no archive")
    with pytest.raises(UserError, match="is no tar file that can be read"):
        unpack(tmp_path / "e.tar", tmp_path / "out")
    assert not (tmp_path / "out").exists()
