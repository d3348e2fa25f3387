"""`python -m control_plane.cli`: the same as `wirechief`, where that is not installed."""

from control_plane.cli.app import main

if __name__ == "__main__":
    main()
