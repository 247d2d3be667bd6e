"""The command line of the original code: `python main.py --help`, docs/reference_command_line.md."""

import sys

from mme2e.reference.command_line.program import main

if __name__ == "__main__":
    sys.exit(main())
