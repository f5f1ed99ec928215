"""`cnnkit` and `python -m cnnkit`: sets what must be set before torch is imported, then runs a command."""

import atexit
import contextlib
import gc
import os
import sys

from cnnkit.signals import answer_ctrl_c, ignore_ctrl_c

# Turns of a thread that waits for the others before it sleeps. The default, 300,000, is some 15 ms: where
# another program wanted one of two cores a step of fast.yaml took 400 ms, with this 52; alone 4 % more.
SPINS = "20000"
NEW_OBJECTS = 100_000  # before Python looks again for unreachable ones


def main() -> int:
    answer_ctrl_c()
    open_standard_streams()
    sleep_soon()
    gc.set_threshold(NEW_OBJECTS)  # what is imported stays: at 700, looking took 0.1 of torch's 1.4 s
    atexit.register(_skip_last_collection)
    atexit.register(ignore_ctrl_c)  # all is done; in what Python still does it would show a traceback
    try:
        from cnnkit.cli import app as cli

        return cli.main()
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # an import fails in many ways for want of memory
        from cnnkit.errors import lacks_memory

        if not lacks_memory(error):
            raise
        sys.stderr.write("error: out of memory; close other programs, or choose a smaller network\n")
        return 1
    finally:
        give_up_full_streams()


def open_standard_streams() -> None:
    """Opens those that are closed (`>&-`), to nowhere: else the next file to be opened takes their place."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
            setattr(sys, name, os.fdopen(number, "r" if name == "stdin" else "w", encoding="utf-8"))


def give_up_full_streams() -> None:
    """Lets go of what cannot be written, which was told already: at its end Python would try again."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def sleep_soon() -> None:
    """Makes torch's waiting threads sleep after SPINS turns, unless OMP_WAIT_POLICY is set.

    Call it before torch is imported.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)


def _skip_last_collection() -> None:
    """Spares Python's last look for unreachable objects: 0.3 s, for what ends with the process anyway."""
    if "triton" not in sys.modules:  # which tells of each object that is left as a leak
        gc.freeze()


if __name__ == "__main__":
    sys.exit(main())
