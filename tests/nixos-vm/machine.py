"""A machine of NixOS under QEMU, with the verbs of nixpkgs' test driver as far as the checks need them."""

import base64
import os
import shlex
import socket
import subprocess
import time


class Failed(Exception):
    """It is not as it should be."""


class Gone(Exception):
    """The machine is off, or does not answer: nothing more can be learnt from it."""


class Machine:
    """The disk of `name` is kept over reboots; the store is of all generations, and read-only."""

    def __init__(self, name: str, peer: str, folder: str, system: str, store: str) -> None:
        self.name, self.folder, self.system, self.store = name, folder, system, store
        # One wire between two machines, of which the other may be off.
        self.ends = [f"{folder}/{end}.wire" for end in (name, peer)]
        self.console = f"{folder}/{name}.console"
        self.process: subprocess.Popen[bytes] | None = None
        self.shell: socket.socket | None = None

    def start(self) -> None:
        path = f"{self.folder}/{self.name}.shell"
        for old in (path, self.ends[0]):
            if os.path.exists(old):
                os.unlink(old)
        wire = "dgram,id=net,local.type=unix,local.path={},remote.type=unix,remote.path={}".format(*self.ends)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        with open(f"{self.system}/kernel-params") as file:
            line = f"console=ttyS0 panic=1 quiet init={self.system}/init {file.read()}"
        with open(f"{self.folder}/{self.name}.qemu", "ab") as log:
            # As in ../vm/run: two virtual processors, or threads, crash guests of this emulator; and its time goes by what
            # it executes, so that no time limit inside depends on the load of this machine.
            self.process = subprocess.Popen(
                ["nice", "-n", "10", "qemu-system-x86_64"]
                + ["-accel", "tcg,thread=single", "-icount", "shift=1", "-rtc", "clock=vm"]
                + ["-cpu", "max", "-smp", "1", "-m", "4096", "-display", "none", "-monitor", "none", "-no-reboot"]
                + ["-kernel", f"{self.system}/kernel", "-initrd", f"{self.system}/initrd", "-append", line]
                + ["-drive", f"file={self.folder}/{self.name}.disk,format=raw,if=virtio,cache=unsafe"]
                + ["-drive", f"file={self.store},format=raw,if=virtio,readonly=on,cache=unsafe"]
                + ["-netdev", wire, "-device", "virtio-net-pci,netdev=net,mac=52:54:00:00:00:0" + self.name[-1]]
                + ["-device", "virtio-serial", "-chardev", f"socket,id=shell,path={path}"]
                + ["-device", "virtconsole,chardev=shell", "-device", "virtio-rng-pci"]
                + ["-chardev", f"file,id=console,path={self.console},append=on", "-serial", "chardev:console"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        listener.settimeout(60)
        self.shell, _ = listener.accept()
        listener.close()
        self._connect(1800)

    def _connect(self, timeout: float) -> None:
        assert self.shell is not None
        seen = b""
        end = time.monotonic() + timeout
        while b"Spawning backdoor root shell...\n" not in seen.replace(b"\r", b""):
            if time.monotonic() > end:
                raise Gone(f"{self.name}: no shell within {timeout} s; its console is in {self.console}")
            self.shell.settimeout(max(1, end - time.monotonic()))
            try:
                part = self.shell.recv(4096)
            except TimeoutError:
                continue
            if not part:
                raise Gone(f"{self.name}: it went off while it booted; its console is in {self.console}")
            seen += part
        self.buffer = b""

    def _line(self, timeout: float) -> bytes:
        assert self.shell is not None
        self.shell.settimeout(timeout)
        while b"\n" not in self.buffer:
            part = self.shell.recv(1 << 16)
            if not part:
                raise Gone(f"{self.name}: its shell is gone; its console is in {self.console}")
            self.buffer += part
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line

    def execute(self, command: str, timeout: float = 900) -> tuple[int, str]:
        assert self.shell is not None
        quoted = shlex.quote(f"set -euo pipefail\n{command}")
        line = b""
        try:
            self.shell.sendall(f"(timeout {int(timeout)} bash -c {quoted} 2>&1 </dev/null) | (base64 -w 0; echo); echo ${{PIPESTATUS[0]}}\n".encode())
            line = self._line(timeout * 10)
            text = base64.b64decode(line).decode(errors="replace")
            line = self._line(60)
            return int(line), text
        except TimeoutError as error:
            raise Gone(f"{self.name}: no answer to {command}") from error
        except OSError as error:
            raise Gone(f"{self.name}: its shell is gone; its console is in {self.console}") from error
        except ValueError as error:
            raise Gone(f"{self.name}: the shell's answer to {command} is {line!r}, and {self.buffer!r}") from error

    def succeed(self, *commands: str, timeout: float = 900) -> str:
        out = ""
        for command in commands:
            status, text = self.execute(command, timeout)
            if status != 0:
                raise Failed(f"{self.name}: {command} ended with {status}: {text[-2000:]}")
            out += text
        return out

    def fail(self, command: str, timeout: float = 900) -> str:
        status, text = self.execute(command, timeout)
        if status == 0:
            raise Failed(f"{self.name}: {command} did not fail: {text[-2000:]}")
        return text

    def wait_until_succeeds(self, command: str, timeout: float = 900) -> str:
        end = time.monotonic() + timeout
        while True:
            status, text = self.execute(command, timeout)
            if status == 0:
                return text
            if time.monotonic() > end:
                raise Failed(f"{self.name}: never within {timeout} s: {command}: {text[-2000:]}")
            time.sleep(2)

    def wait_until_fails(self, command: str, timeout: float = 900) -> str:
        return self.wait_until_succeeds(f"! ( {command} )", timeout)

    def wait_for_unit(self, unit: str, timeout: float = 900) -> None:
        """As nixpkgs' driver: one that failed, or that nobody starts, is an error at once."""
        end = time.monotonic() + timeout
        while True:
            state = self.execute(f"systemctl show --property ActiveState --value {unit}")[1].strip()
            if state == "active":
                return
            if state == "failed":
                raise Failed(f"{self.name}: {unit} failed: {self.execute(f'journalctl -u {unit} -n 30 --no-pager')[1]}")
            if state == "inactive" and "No jobs" in self.execute("systemctl list-jobs --full")[1]:
                if self.execute(f"systemctl show --property ActiveState --value {unit}")[1].strip() == "inactive":
                    raise Failed(f"{self.name}: {unit} is inactive and there are no pending jobs")
            if time.monotonic() > end:
                raise Failed(f"{self.name}: {unit} is {state} after {timeout} s")
            time.sleep(2)

    def off(self, command: str, timeout: float = 600) -> None:
        assert self.process is not None and self.shell is not None
        self.shell.sendall(f"{command}\n".encode())
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise Failed(f"{self.name}: still on {timeout} s after {command}") from error
        self.shell.close()

    def shutdown(self) -> None:
        self.off("poweroff")

    def reboot(self) -> None:
        """The emulator ends instead (-no-reboot), and is started again on the same disk."""
        self.off("reboot")
        self.start()

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
