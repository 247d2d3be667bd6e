"""Unpacking an archive of files that others made."""

import shutil
import tarfile
from pathlib import Path, PurePosixPath

from mme2e.errors import UserError
from mme2e.preparation.copying import whole_folder

MOST_BYTES = 4 << 30
MOST_FILES = 500_000


def unpack(archive: Path, folder: Path, *, most_bytes: int = MOST_BYTES, most_files: int = MOST_FILES) -> bool:
    """Unpacks a tar file into a folder that appears whole or not at all; one that exists is left as it is.

    Only regular files are written, with the rights of any new file, and only within the folder.

    Args:
        archive: Tar file, compressed or not.
        folder: To be made.
        most_bytes: That the files may have together.
        most_files: How many there may be.

    Returns:
        Whether it was unpacked.

    Raises:
        UserError: The archive cannot be read, holds anything but files and folders, a path that leads out of the
            folder, or more than it may.
    """
    if folder.is_dir():
        return False
    folder.parent.mkdir(parents=True, exist_ok=True)
    size_bytes = files = 0
    try:
        with tarfile.open(archive) as tar, whole_folder(folder) as new:
            for member in tar:
                if member.isdir():
                    continue
                path = PurePosixPath(member.name)
                if not member.isreg() or path.is_absolute() or ".." in path.parts or "\\" in member.name:
                    raise UserError(f"{archive} holds '{member.name}', which is no file within the archive's folder")
                size_bytes, files = size_bytes + member.size, files + 1
                if size_bytes > most_bytes or files > most_files:
                    raise UserError(f"{archive} holds more than {most_files} files or {most_bytes} bytes")
                _write(tar, member, new.joinpath(*path.parts))
    except (tarfile.TarError, EOFError) as error:
        raise UserError(f"{archive} is no tar file that can be read: {error}") from error
    return True


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    source = tar.extractfile(member)
    assert source is not None  # it is a regular file
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with source, path.open("xb") as file:
            shutil.copyfileobj(source, file)
    except FileExistsError as error:
        raise UserError(f"{tar.name!s} holds '{member.name}' twice, or as a file and as a folder") from error
