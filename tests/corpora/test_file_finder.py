"""Names that do not match by their letters, and folders behind links."""

import os
import unicodedata
from pathlib import Path

import pytest

from mme2e.corpora.crema_d import read_crema_d
from mme2e.corpora.file_finder import FileFinder, walk_folders
from mme2e.corpora.manifest import read_manifest
from mme2e.corpora.ravdess import read_ravdess

COMPOSED = "müde Zoë"
DECOMPOSED = unicodedata.normalize("NFD", COMPOSED)


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def manifest(folder: Path, content: str):
    (folder / "own.csv").write_text(content, encoding="utf-8")
    return read_manifest(folder / "own.csv")


class TestNames:
    @pytest.mark.parametrize("on_disk", [COMPOSED, DECOMPOSED])
    @pytest.mark.parametrize("in_table", [COMPOSED, DECOMPOSED])
    def test_letters_composed_or_not(self, tmp_path, on_disk, in_table):
        touch(tmp_path, f"{on_disk}/{on_disk}.wav", f"{on_disk}/{on_disk} 1.png")
        corpus = manifest(
            tmp_path,
            f"audio,images,labels\n{in_table}/{in_table}.wav,,x\n,{in_table}/{in_table} ?.png,x\n"
            f",{in_table}/{in_table} 1.png|gone.png,x\n",
        )
        first, second, third = corpus.utterances
        assert first.audio == tmp_path / on_disk / f"{on_disk}.wav"
        assert second.images == (tmp_path / on_disk / f"{on_disk} 1.png",)
        assert third.images == (tmp_path / on_disk / f"{on_disk} 1.png", tmp_path / "gone.png")
        assert (first.id, first.recording) == (COMPOSED, COMPOSED)
        assert corpus.skipped == ()

    def test_of_two_files_each_is_found_by_its_own_letters(self, tmp_path):
        touch(tmp_path, f"{COMPOSED}.wav", f"{DECOMPOSED}.wav")
        corpus = manifest(tmp_path, f"audio,labels\n{COMPOSED}.wav,x\n{DECOMPOSED}.wav,x\n")
        assert [u.audio.name for u in corpus.utterances] == [f"{COMPOSED}.wav", f"{DECOMPOSED}.wav"]

    def test_a_name_in_windows_1252(self, tmp_path):
        (Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav"))).touch()
        corpus = manifest(tmp_path, "audio,labels\ncafé.wav,x\n")
        (found,) = corpus.utterances
        assert os.fsencode(found.audio.name) == b"caf\xe9.wav"
        assert (found.id, found.speaker) == (r"caf\xe9", r"caf\xe9")

    def test_backslashes_of_windows(self, tmp_path):
        touch(tmp_path, "clips/a.wav", "clips/a 1.png", "odd\\name.wav")
        corpus = manifest(tmp_path, "audio,images,labels\nclips\\a.wav,clips\\a ?.png,x\nodd\\name.wav,,x\n")
        first, second = corpus.utterances
        assert (first.audio, first.images) == (tmp_path / "clips/a.wav", (tmp_path / "clips/a 1.png",))
        assert second.audio.name == "odd\\name.wav"

    def test_a_name_like_a_protocol_is_a_file(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        touch(tmp_path, "take:1.wav")
        Path("own.csv").write_text("audio,labels\ntake:1.wav,x\n")
        (found,) = read_manifest(Path("own.csv")).utterances
        assert (found.audio, found.recording) == (Path("take:1.wav"), "take:1")

    @pytest.mark.parametrize("cell", ["a\0b.wav", "b" * 5000, "ü" * 5000, "\ue000/\ue001"])
    def test_what_cannot_be_a_name(self, tmp_path, cell):
        corpus = manifest(tmp_path, f"audio,text,labels\n{cell},,x\n,Hi,x\n")
        assert [u.text for u in corpus.utterances] == ["Hi"]
        assert "is no file, or does not exist" in corpus.skipped[0].reason

    def test_a_table_of_macos(self, shared, tmp_path):
        touch(tmp_path, "müde.wav", "a.wav")
        corpus = manifest(tmp_path, shared("inputs/tables/nfd_file.csv").read_text(encoding="utf-8"))
        assert [u.audio.name for u in corpus.utterances] == ["müde.wav", "a.wav"]


class TestPatterns:
    @pytest.fixture
    def folder(self, tmp_path):
        touch(tmp_path, "frames [a]/f_10.png", "frames [a]/f_9.png", "frames [a]/._f_1.png", "frames a/f_1.png")
        touch(tmp_path, "frames [a]/deep/f [1].png", "frames b/f_2.png")
        return tmp_path

    @pytest.mark.parametrize(
        ("pattern", "names"),
        [
            ("frames [a]/f_*.png", ["frames [a]/f_9.png", "frames [a]/f_10.png"]),
            ("frames [ab]/f_*.png", ["frames a/f_1.png", "frames b/f_2.png"]),
            ("frames ?/*.png", ["frames a/f_1.png", "frames b/f_2.png"]),
            ("{folder}/frames [a]/f_?.png", ["frames [a]/f_9.png"]),
            ("frames [a]/deep/../f_*.png", ["frames [a]/f_9.png", "frames [a]/f_10.png"]),
            ("**/f [1].png", ["frames [a]/deep/f [1].png"]),
            ("frames [a]/**/f*.png", ["frames [a]/deep/f [1].png", "frames [a]/f_9.png", "frames [a]/f_10.png"]),
        ],
    )
    def test_a_part_that_is_a_name_means_that(self, folder, pattern, names):
        corpus = manifest(folder, f"images,labels\n{pattern.replace('{folder}', str(folder))},x\n")
        assert [str(image.relative_to(folder)) for image in corpus.utterances[0].images] == names

    def test_a_published_table(self, folder, shared):
        corpus = manifest(folder, shared("inputs/tables/glob_bracket.csv").read_text())
        assert [image.name for image in corpus.utterances[0].images] == ["f_9.png", "f_10.png"]


class TestLinks:
    @pytest.fixture
    def root(self, tmp_path):
        """Five takes: in a folder, behind two links to folders elsewhere, and a link back to the top."""
        root = tmp_path / "raw"
        touch(root, "Actor_01/03-01-01-01-01-01-01.wav")
        touch(tmp_path / "disk", "Actor_02/03-01-01-01-01-01-02.wav", "Actor_03/03-01-01-01-01-01-03.wav")
        touch(tmp_path / "other", "03-01-01-01-01-01-04.wav", "03-01-01-01-01-01-05.wav")
        (root / "more").symlink_to(tmp_path / "disk", target_is_directory=True)
        (root / "Actor_01" / "other").symlink_to(tmp_path / "other", target_is_directory=True)
        (root / "again").symlink_to(root / "Actor_01", target_is_directory=True)
        (tmp_path / "disk" / "loop").symlink_to(root, target_is_directory=True)
        return root

    def test_folders_behind_links_are_walked_once(self, root):
        folders = [str(folder.relative_to(root)) for folder, _ in walk_folders(root)]
        assert sorted(folders) == [".", "Actor_01", "Actor_01/other", "more", "more/Actor_02", "more/Actor_03"]

    def test_takes_of_ravdess(self, root):
        corpus = read_ravdess(root)
        assert [u.speaker for u in corpus.utterances] == [f"actor0{i}" for i in range(1, 6)]
        assert corpus.skipped == ()

    def test_clips_of_crema_d(self, tmp_path):
        touch(tmp_path / "disk", "1001_DFA_ANG_XX.wav")
        (tmp_path / "raw").mkdir()
        (tmp_path / "raw" / "AudioWAV").symlink_to(tmp_path / "disk", target_is_directory=True)
        assert [u.id for u in read_crema_d(tmp_path / "raw").utterances] == ["1001_DFA_ANG_XX"]

    def test_globs(self, root):
        found = FileFinder(root).matches("**/*.wav")
        assert len(found) == 5
        assert len({path.name for path in found}) == 5

    def test_a_link_that_leads_nowhere_and_a_closed_folder_are_told(self, root, monkeypatch):
        (root / "03-01-01-01-01-01-06.wav").symlink_to(root / "gone.wav")
        (root / "self.wav").symlink_to(root / "self.wav")
        closed = root / "Actor_01"
        iterdir = Path.iterdir

        def refuse(folder):
            if folder == closed:
                raise PermissionError(13, "Permission denied")
            return iterdir(folder)

        monkeypatch.setattr(Path, "iterdir", refuse)
        corpus = read_ravdess(root)
        assert [u.speaker for u in corpus.utterances] == ["actor02", "actor03"]
        assert {(s.item, s.reason) for s in corpus.skipped} == {
            ("Actor_01", "a folder that cannot be read"),
            ("03-01-01-01-01-01-06.wav", "a symbolic link that leads nowhere"),
            ("self.wav", "a symbolic link that leads nowhere"),
        }
