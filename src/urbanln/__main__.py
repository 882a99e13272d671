"""``python -m urbanln`` and ``torchrun -m urbanln`` are the command ``urbanln``."""

from urbanln.cli.app import main

if __name__ == "__main__":
    main()
