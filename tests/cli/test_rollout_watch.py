"""`heliostat rollout watch`: what it shows, when it ends, and with which exit code."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios

from rollout_records import BEGAN, failed, rollout, status, succeeded, version, waiting

from heliostat.spec.rollouts import Phase


def test_watching_a_rollout_that_goes_through_ends_with_success(controller, stack):
    controller.serve(waiting())
    controller.coming.append(status(succeeded()))
    ran = stack("rollout", "watch")
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert lines[0] == ("flights: rollout 7, canary, 1-00000001 -> 2-00000002, by ada at 1f0c9a2b77 (with local changes)")
    assert len([line for line in lines if "10 % of the traffic to 2-00000002" in line]) == 1, "each event once"
    assert lines[-1].endswith("succeeded    2-00000002 serves")


def test_watching_a_rollout_that_is_rolled_back_ends_with_failure(controller, stack):
    controller.serve(waiting(), serving=version(1))
    controller.coming.append(status(failed(), serving=version(1)))
    ran = stack("rollout", "watch")
    assert ran.code == 1
    assert "rollout 7 of flights failed; 1-00000001 serves" in ran.err


def test_watching_ends_where_the_program_went_back_to_what_serves_after_a_failure(controller, stack):
    controller.statuses["flights"] = status(failed(), number=1, serving=version(1))
    ran = stack("rollout", "watch")
    assert ran.code == 1
    assert "rollout 7 of flights failed; 1-00000001 serves" in ran.err
    assert not controller.waited.is_set(), "nothing more comes"


def test_watching_ends_as_soon_as_what_was_declared_meanwhile_turns_out_to_serve(controller, stack):
    reverted = status(failed(), number=1, serving=version(1))
    controller.serve(waiting(), serving=version(1))
    controller.coming.extend([reverted.model_copy(update={"pending": True}), reverted])
    assert stack("rollout", "watch").code == 1
    assert not controller.coming
    first, last = controller.patience
    assert first > 20 > 1 >= last, "no event says that nothing had to move"


def test_a_rollout_that_is_superseded_by_another_of_the_same_version_is_not_the_last(controller, stack):
    superseded = status(rollout=rollout(phase=Phase.SUPERSEDED), pending=True, serving=version(1))
    controller.serve(waiting(), serving=version(1))
    controller.coming.extend([superseded, status(rollout=rollout(number=8))])
    ran = stack("rollout", "watch")
    assert ran.code == 0
    assert "flights: rollout 8" in ran.out


def test_watching_ends_where_the_old_version_is_only_kept_unless_asked_to_wait(controller, stack):
    keeping = rollout(phase=Phase.RETAINING, ended_at=None, until=BEGAN + 9999)
    controller.statuses["flights"] = status(rollout=keeping)
    ran = stack("rollout", "watch")
    assert ran.code == 0
    assert "1-00000001 is kept until" in ran.err
    assert not controller.waited.is_set(), "there was nothing to wait for"
    controller.coming.append(status(succeeded()))
    assert stack("rollout", "watch", "--wait").code == 0
    assert controller.waited.is_set()


def in_a_terminal(*arguments, folder, seen, rows=24, columns=100):
    """What a command writes to a terminal, and its exit code; `seen` is told of everything written so far."""
    process, terminal = pty.fork()
    if process == 0:
        os.environ["TERM"] = "xterm"
        os.chdir(folder)
        os.execv(sys.executable, [sys.executable, "-m", "heliostat.cli.main", *arguments])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    written = b""
    try:
        while piece := os.read(terminal, 65536):
            written += piece
            seen(written.decode(errors="replace"))
    except OSError:  # how Linux says that the other side is closed
        pass
    os.close(terminal)
    return written.decode(), os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def test_at_a_terminal_a_picture_moves_and_the_last_one_stays(controller, stack):
    controller.serve(waiting(), serving=version(1))
    controller.coming.append(status(failed(), serving=version(1)))
    controller.go_on.clear()

    def seen(written):
        if written.count("waiting for a person") > 3:  # it is drawn again and again: times count down
            controller.go_on.set()

    written, code = in_a_terminal("rollout", "watch", folder=stack.folder, seen=seen)
    assert code == 1
    last = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", written.rpartition("\x1b[?25h")[2])
    for part in (
        "✗ 50 % of the traffic",
        "ValueError: no such column",
        "is below 0.99: all traffic back",
        "1-00000001 serves",
    ):
        assert part in last


def test_an_interrupt_ends_the_watching_and_not_the_rollout(controller, stack):
    controller.serve(waiting())
    controller.go_on.clear()
    watching = subprocess.Popen(
        [sys.executable, "-m", "heliostat.cli.main", "rollout", "watch"],
        cwd=stack.folder,
        env=os.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert controller.waited.wait(60)
        watching.send_signal(signal.SIGINT)
        _, err = watching.communicate(timeout=30)
    finally:
        controller.go_on.set()
        watching.kill()
    assert watching.returncode == 8
    assert err.startswith("No longer watching; the rollout goes on. `")
    assert err.endswith("heliostat rollout watch flights` picks it up again.\n")
    assert controller.said == []
