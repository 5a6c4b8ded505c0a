"""Run `python -m fastgd`."""
import sys

from fastgd._cli.main import main, run_process

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(run_process())
