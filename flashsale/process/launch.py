"""Start a program that ends when its parent does, even when the parent is killed with SIGKILL.

Run as a script, by path, with a bare interpreter: it imports only the standard library, and replaces itself
with the program, which keeps the process id.

    python launch.py pdeathsig PARENT_PID PROGRAM [ARGUMENT...]
    python launch.py watch     PIPE_FD    PROGRAM [ARGUMENT...]
    python launch.py group     PIPE_FD    PROGRAM [ARGUMENT...]

- `pdeathsig` (Linux): the kernel sends SIGKILL when the thread that started us dies (PR_SET_PDEATHSIG of
  prctl(2)). The parent may be gone before the kernel is asked, so its id is checked afterwards.
- `watch` (elsewhere, and where the starting thread may end before its process): a child of the program waits
  for the end of a pipe whose other end the parent holds, and then kills the program.

- `group`: the same for a program that leads a process group and forks others into it: all of them are killed.

Files the program creates are for its user only (umask 077), but for `group`: what that writes is for its user to share.
"""

import ctypes
import os
import select
import signal
import sys

PR_SET_PDEATHSIG = 1
POLL_SECONDS = 1.0


def die_with_parent(parent_pid: int) -> None:
    """Ask the kernel for SIGKILL at the parent's death; end at once if it has died already."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent_pid:
        sys.exit(1)


def start_watcher(pipe_fd: int, *, group: bool = False) -> None:
    """Fork a child that kills this process, or its group, when the pipe ends, and ends itself when this process does."""
    program = os.getpid()
    if os.fork() != 0:
        os.close(pipe_fd)
        return
    # Whatever else was inherited, such as the lock on the data directory, is not the watcher's to hold.
    os.closerange(0, pipe_fd)
    os.closerange(pipe_fd + 1, os.sysconf("SC_OPEN_MAX"))
    while os.getppid() == program:
        readable, _, _ = select.select([pipe_fd], [], [], POLL_SECONDS)
        if readable and os.read(pipe_fd, 1) == b"":
            if os.getppid() == program:
                (os.killpg if group else os.kill)(program, signal.SIGKILL)
            break
    os._exit(0)


def main(mode: str, number: int, command: list[str]) -> None:
    """Tie this process to its parent, then become the program."""
    if mode != "group":
        os.umask(0o077)
    if mode == "pdeathsig":
        die_with_parent(number)
    else:
        start_watcher(number, group=mode == "group")
    os.execv(command[0], command)  # noqa: S606 (no shell is wanted)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
