"""A node of tests/cluster with the verbs of a machine of NixOS' test driver (nixos/lib/test-driver, machine.py).

A verb that is not here is none: a script that uses it fails, and does not pass for want of it.
"""
import contextlib
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Iterator, Optional, TextIO

REPO = Path(__file__).resolve().parents[3]
CLUSTER = REPO / "tests/cluster/cluster"
# What leads to another generation, as a user types it on NixOS.
SPECIALISATION = re.compile(r"/run/current-system/specialisation/([\w-]+)/bin/switch-to-configuration (?:test|switch)")
BASE = re.compile(r"/run/current-system/bin/switch-to-configuration (?:test|switch)")
ROLLBACK = re.compile(r"nixos-rebuild (?:switch|test) --rollback")


def state_of() -> Path:
    """The folder of the cluster (tests/cluster/lib/settings.sh)."""
    return REPO / "target" / f"cluster-{os.environ['CLUSTER']}"


def cluster(*words: str, **settings: str) -> None:
    """tests/cluster/cluster; what it says is shown only if it fails."""
    answer = subprocess.run([CLUSTER, *words], env={**os.environ, **settings}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    if answer.returncode != 0:
        raise RuntimeError(f"cluster {' '.join(words)}: {answer.stdout.decode(errors='replace')[-3000:]}")


def retry(fn: Callable[[bool], bool], timeout: int = 900) -> None:
    """Calls it once a second until it is true; the last call is told that it is the last."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if fn(False):
            return
        time.sleep(1)
    if not fn(True):
        raise Exception(f"action timed out after {timeout} seconds")


class Log:
    """What a script did."""

    def __init__(self, file: TextIO) -> None:
        self.file = file

    def log(self, text: str) -> None:
        self.file.write(text.rstrip("\n") + "\n")
        self.file.flush()

    info = log

    @contextlib.contextmanager
    def nested(self, text: str) -> Iterator[None]:
        begun = time.monotonic()
        self.log(text)
        yield
        self.log(f"(finished: {text}, in {time.monotonic() - begun:.2f} seconds)")


class Machine:
    def __init__(self, name: str, test: str, given: Path, log: Log) -> None:
        self.name = name
        self._test = test
        self._given = given / f"{name}.nix"
        self._log = log
        self._specialisations: list[Optional[str]] = [None]
        self._configure(None)

    def __getattr__(self, verb: str) -> Any:
        raise NotImplementedError(f"the driver's machines have no verb {verb}")

    def _configure(self, specialisation: Optional[str]) -> None:
        # `packages` are those of the node (tests/cluster/lib/nixos.sh).
        place = "options" if specialisation is None else f'specialisations."{specialisation}"'
        scripts = Path(__file__).resolve().parent / "scripts.nix"
        self._given.write_text(
            "{ packages, address }:\n"
            f'(import {scripts} {{ inherit (packages) busybox; inherit address; }})."{self._test}".nodes.{self.name}.{place}\n'
        )

    def _switch(self, specialisation: Optional[str]) -> tuple[int, str]:
        """What switch-to-configuration does: 0, or 4 if a unit failed."""
        self._configure(specialisation)
        self._specialisations.append(specialisation)
        answer = subprocess.run([CLUSTER, "rebuild", self.name, ""], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        return answer.returncode, answer.stdout.decode(errors="replace")

    def _generation(self, command: str) -> Optional[tuple[int, str]]:
        """Runs what leads to another generation; None if the command does not."""
        if found := SPECIALISATION.fullmatch(command):
            return self._switch(found[1])
        if BASE.fullmatch(command):
            return self._switch(None)
        if ROLLBACK.fullmatch(command):
            self._specialisations.pop()
            self._configure(self._specialisations[-1])
            answer = subprocess.run([CLUSTER, "rollback", self.name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
            return answer.returncode, answer.stdout.decode(errors="replace")
        if "switch-to-configuration" in command or "nixos-rebuild" in command:
            raise NotImplementedError(f"the driver cannot do this part of it: {command}")
        return None

    # The machine itself.

    def is_up(self) -> bool:
        return subprocess.run([CLUSTER, "exec", self.name, "--", "true"], capture_output=True, stdin=subprocess.DEVNULL).returncode == 0

    def start(self, allow_reboot: bool = False) -> None:
        self.log("start")
        cluster("start", self.name)

    def shutdown(self) -> None:
        self.log("shutdown")
        cluster("stop", self.name)

    def crash(self) -> None:
        self.log("crash")
        cluster("kill", self.name)

    def reboot(self) -> None:
        self.log("reboot")
        cluster("reboot", self.name)

    def wait_for_shutdown(self) -> None:
        retry(lambda _: not self.is_up())

    def log(self, text: str) -> None:
        self._log.log(f"{self.name}: {text}")

    def nested(self, text: str) -> contextlib.AbstractContextManager[None]:
        return self._log.nested(f"{self.name}: {text}")

    # Commands.

    def execute(self, command: str, check_return: bool = True, check_output: bool = True, timeout: Optional[int] = 900) -> tuple[int, str]:
        if (switched := self._generation(command.strip())) is not None:
            status, output = switched
        else:
            words = [CLUSTER, "exec", self.name, "--", "bash", "-c", f"set -euo pipefail; {command}"]
            try:
                answer = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=timeout)
            except subprocess.TimeoutExpired:
                return 124, ""
            status, output = answer.returncode, answer.stdout.decode(errors="replace")
            if answer.stderr:
                self.log(answer.stderr.decode(errors="replace")[-2000:])
        self.log(f"{command} → {status}" + (f"\n{output[-2000:]}" if output else ""))
        return status, output

    def succeed(self, *commands: str, timeout: Optional[int] = 900) -> str:
        whole = ""
        for command in commands:
            status, output = self.execute(command, timeout=timeout)
            if status != 0:
                raise Exception(f"command `{command}` failed (exit code {status})")
            whole += output
        return whole

    def fail(self, *commands: str, timeout: Optional[int] = 900) -> str:
        whole = ""
        for command in commands:
            status, output = self.execute(command, timeout=timeout)
            if status == 0:
                raise Exception(f"command `{command}` unexpectedly succeeded")
            whole += output
        return whole

    def _wait(self, command: str, timeout: int, wanted: Callable[[int], bool]) -> str:
        output = ""

        def check(_last: bool) -> bool:
            nonlocal output
            status, output = self.execute(command, timeout=timeout)
            return wanted(status)

        with self.nested(f"waiting for `{command}`"):
            retry(check, timeout)
        return output

    def wait_until_succeeds(self, command: str, timeout: int = 900) -> str:
        return self._wait(command, timeout, lambda status: status == 0)

    def wait_until_fails(self, command: str, timeout: int = 900) -> str:
        return self._wait(command, timeout, lambda status: status != 0)

    def sleep(self, secs: int) -> None:
        time.sleep(secs)

    # Units.

    def systemctl(self, q: str, user: Optional[str] = None) -> tuple[int, str]:
        if user is not None:
            raise NotImplementedError("the driver has no units of users")
        return self.execute(f"systemctl {q}")

    def get_unit_info(self, unit: str, user: Optional[str] = None) -> dict[str, str]:
        status, lines = self.systemctl(f'--no-pager show "{unit}"', user)
        if status != 0:
            raise Exception(f'retrieving systemctl info for unit "{unit}" failed with exit code {status}')
        return dict(line.split("=", 1) for line in lines.splitlines() if "=" in line)

    def get_unit_property(self, unit: str, property: str, user: Optional[str] = None) -> str:
        return self.get_unit_info(unit, user)[property]

    def require_unit_state(self, unit: str, require_state: str = "active") -> None:
        state = self.get_unit_property(unit, "ActiveState")
        if state != require_state:
            raise Exception(f"Expected unit '{unit}' to to be in state '{require_state}' but it is in state '{state}'")

    def wait_for_unit(self, unit: str, user: Optional[str] = None, timeout: int = 900) -> None:
        """As NixOS' driver: a unit that failed, or that is inactive while no job is pending, is an error at once."""

        def check(_last: bool) -> bool:
            state = self.get_unit_property(unit, "ActiveState", user)
            if state == "failed":
                raise Exception(f'unit "{unit}" reached state "{state}"')
            if state == "inactive":
                _, jobs = self.systemctl("list-jobs --full 2>&1", user)
                if "No jobs" in jobs and self.get_unit_property(unit, "ActiveState", user) == state:
                    raise Exception(f'unit "{unit}" is inactive and there are no pending jobs')
            return state == "active"

        with self.nested(f"waiting for unit {unit}"):
            retry(check, timeout)

    def start_job(self, jobname: str, user: Optional[str] = None) -> tuple[int, str]:
        return self.systemctl(f"start {jobname}", user)

    def stop_job(self, jobname: str, user: Optional[str] = None) -> tuple[int, str]:
        return self.systemctl(f"stop {jobname}", user)

    def wait_for_job(self, jobname: str) -> None:
        self.wait_for_unit(jobname)

    # Files and ports.

    def wait_for_file(self, filename: str, timeout: int = 900) -> None:
        self.wait_until_succeeds(f"test -e {shlex.quote(filename)}", timeout)

    def wait_for_open_port(self, port: int, addr: str = "localhost", timeout: int = 900) -> None:
        self.wait_until_succeeds(f": </dev/tcp/{addr}/{port}", timeout)

    def wait_for_closed_port(self, port: int, addr: str = "localhost", timeout: int = 900) -> None:
        self.wait_until_fails(f": </dev/tcp/{addr}/{port}", timeout)

    def copy_from_host(self, source: str, target: str) -> None:
        parent, name = os.path.split(target.rstrip("/"))
        packed = subprocess.run(["tar", "-C", source if os.path.isdir(source) else os.path.dirname(source) or ".", "-c", "." if os.path.isdir(source) else os.path.basename(source)], stdout=subprocess.PIPE, check=True).stdout
        place = target if os.path.isdir(source) else parent
        script = f"mkdir -p {shlex.quote(place)} && tar -C {shlex.quote(place)} -x"
        if not os.path.isdir(source) and os.path.basename(source) != name:
            script += f" && mv {shlex.quote(os.path.join(parent, os.path.basename(source)))} {shlex.quote(target)}"
        subprocess.run([CLUSTER, "exec", self.name, "--", "sh", "-c", script], input=packed, check=True)

    def shell_interact(self, address: Optional[str] = None) -> None:
        """A shell on the node for whoever sits there; without a terminal it ends at once."""
        stdin = None if sys.stdin.isatty() else subprocess.DEVNULL
        subprocess.run([CLUSTER, "exec", self.name, "--", "bash"], stdin=stdin)
