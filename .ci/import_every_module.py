"""Imports every module of the installed package; `make test-lowest` runs it with the lowest versions of everything."""

import importlib
import importlib.util
import pkgutil

import mme2e

NEEDS_TRITON = "mme2e.ops.sparse_conv2d.triton_kernels"


def main() -> None:
    """Ends with the traceback of the first module that cannot be imported."""
    for module in pkgutil.walk_packages(mme2e.__path__, "mme2e."):
        if module.name != NEEDS_TRITON or importlib.util.find_spec("triton"):
            importlib.import_module(module.name)


if __name__ == "__main__":
    main()
