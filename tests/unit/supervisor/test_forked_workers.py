"""The first workers are forked: only by a process that may be, and with nothing that belongs to others."""

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

ALONE = """
    import asyncio, os, signal, socket, sys, threading
    from gateway.supervisor.forked import fork_workers

    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    admin = socket.create_server(("127.0.0.1", 0))

    def fork(serve):
        return fork_workers(listeners, [admin], serve)

    def statuses(forked):
        return [asyncio.run(one.process.wait()) for one in forked]
"""


def told_by(script: str) -> subprocess.CompletedProcess[str]:
    """What a process of its own prints: the tests' processes have threads, and are not forked."""
    whole = dedent(ALONE) + dedent(script)
    return subprocess.run(
        [sys.executable, "-c", whole], capture_output=True, text=True, timeout=60, check=False
    )


def test_each_worker_has_its_own_listener_and_link_and_no_socket_of_anybody_else() -> None:
    told = told_by("""
        def serve(listener, link):
            mine = listener.getsockname()[1]
            held = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
            sockets = sum(os.readlink(fd).startswith("socket:") for fd in held if os.path.exists(fd))
            link.sendall(f"{mine} {sockets} {admin.fileno()}".encode())
            return 0

        forked = fork(serve)
        for one, listener in zip(forked, listeners, strict=True):
            port, sockets, admins = one.link.recv(100).decode().split()
            print(int(port) == listener.getsockname()[1], sockets, admins)
        print(statuses(forked))
    """)
    assert told.stdout.splitlines() == ["True 2 -1", "True 2 -1", "[0, 0]"], told.stderr


def test_a_process_with_another_thread_is_not_forked() -> None:
    told = told_by("""
        ended = threading.Event()
        threading.Thread(target=ended.wait, daemon=True).start()
        print(fork(lambda listener, link: 0))
        ended.set()
    """)
    assert told.stdout == "[]\n", told.stderr


def test_a_thread_that_is_about_to_end_is_waited_for() -> None:
    told = told_by("""
        threading.Thread(target=lambda: None, daemon=True).start()
        print(statuses(fork(lambda listener, link: 0)))
    """)
    assert told.stdout == "[0, 0]\n", told.stderr


def test_the_link_of_a_worker_ends_with_the_parent_alone() -> None:
    told = told_by("""
        def serve(listener, link):
            return 7 if link.recv(1) == b"" else 1

        forked = fork(serve)
        forked[0].link.close()
        print(statuses(forked[:1]))
        forked[1].link.close()
        print(statuses(forked[1:]))
    """)
    assert told.stdout.splitlines() == ["[7]", "[7]"], told.stderr


def test_a_worker_that_breaks_ends_itself_and_runs_nothing_of_the_parent_s() -> None:
    told = told_by("""
        def serve(listener, link):
            raise RuntimeError("it broke")

        try:
            forked = fork(serve)
        finally:
            print("the parent goes on")
        print(statuses(forked))
    """)
    assert told.stdout.splitlines() == ["the parent goes on", "[1, 1]"]
    assert told.stderr.count("RuntimeError: it broke") == 2


def test_a_worker_that_was_killed_is_told_with_its_signal_and_killed_once() -> None:
    told = told_by("""
        forked = fork(lambda listener, link: len(link.recv(1)))
        for one in forked:
            one.process.kill()
        print(statuses(forked))
        try:
            forked[0].process.kill()
        except ProcessLookupError:
            print("it has ended")
    """)
    assert told.stdout.splitlines() == ["[-9, -9]", "it has ended"], told.stderr


def test_what_was_printed_before_is_printed_once_and_what_a_worker_prints_is_not_lost() -> None:
    told = told_by("""
        print("before", end=" ")
        def serve(listener, link):
            print("worker ", end="")  # in one write, also where nothing is buffered
            return 0

        statuses(fork(serve))
        print("after")
    """)
    assert sorted(told.stdout.split()) == ["after", "before", "worker", "worker"], told.stderr


def test_signals_wait_until_a_worker_can_heed_them() -> None:
    told = told_by("""
        def serve(listener, link):
            os.kill(os.getpid(), signal.SIGTERM)
            return 3

        print(statuses(fork(serve)))
        print(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
    """)
    assert told.stdout.splitlines() == ["[3, 3]", "set()"], told.stderr


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_whoever_starts_us_may_have_closed_what_is_standard(closed: str, tmp_path: Path) -> None:
    told = tmp_path / "told"
    script = dedent(ALONE) + dedent("""
        def serve(listener, link):
            link.sendall(b"here")
            return 3

        forked = fork(serve)
        open(sys.argv[1], "w").write(f"{[one.link.recv(4) for one in forked]} {statuses(forked)}")
    """)
    command = f'exec "$0" -c "$1" "$2" {closed}'
    subprocess.run(["sh", "-c", command, sys.executable, script, str(told)], timeout=60, check=False)
    assert told.read_text() == "[b'here', b'here'] [3, 3]"


def test_where_ends_are_not_told_nobody_is_forked() -> None:
    told = told_by("""
        def refused(*_):
            raise OSError(38, "Function not implemented")  # what a kernel or a filter without it says

        os.pidfd_open = refused
        print(fork(lambda listener, link: 0))
    """)
    assert told.stdout == "[]\n", told.stderr


def test_what_the_parent_was_given_by_others_is_not_the_workers() -> None:
    told = told_by("""
        given = os.open("/dev/zero", os.O_RDONLY)

        def serve(listener, link):
            return 0 if os.path.exists(f"/proc/self/fd/{given}") else 5

        print(statuses(fork(serve)))
    """)
    assert told.stdout == "[5, 5]\n", told.stderr


def test_workers_that_cannot_be_forked_are_left_to_be_spawned() -> None:
    told = told_by("""
        forks = iter([os.fork])

        def fork_once():
            for really in forks:
                return really()
            raise BlockingIOError(11, "Resource temporarily unavailable")

        os.fork = fork_once
        print(statuses(fork(lambda listener, link: 0)))
    """)
    assert told.stdout == "[0]\n", told.stderr
