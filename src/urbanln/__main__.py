"""``python -m urbanln`` and ``torchrun -m urbanln`` are the command ``urbanln``."""

from urbanln.cli import main

if __name__ == "__main__":
    main()
