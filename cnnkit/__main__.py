"""`cnnkit` and `python -m cnnkit`: where everything begins, and where Ctrl-C ends before anything has."""

import sys


def main() -> int:
    try:
        from cnnkit import cli
    except KeyboardInterrupt:
        return 130
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
