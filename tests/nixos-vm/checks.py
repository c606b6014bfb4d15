"""The checks: docs/nixos.md followed on machines of ./generations.nix. Called by ./run: checks FOLDER WORK"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable

from machine import Failed, Gone, Machine

passed, failed = int(os.environ.get("PASSED", "0")), 0
begun = time.monotonic()


def say(text: str) -> None:
    seconds = int(time.monotonic() - begun)
    print(f"{seconds // 60:3d}:{seconds % 60:02d}  {text}", flush=True)


def check(text: str, does: Callable[[], object]) -> bool:
    global passed, failed
    try:
        if does() is False:
            raise Failed("it is not so")
    except (Failed, AssertionError, KeyError, ValueError, IndexError) as error:
        failed += 1
        say(f"FAIL {text}")
        print("     " + str(error).replace("\n", "\n     "), flush=True)
        return False
    passed += 1
    say(f"ok   {text}")
    return True


def ready(machine: Machine, node: str) -> None:
    machine.wait_until_succeeds(f"kubectl wait --for=condition=Ready node/{node} --timeout=10s", 1800)


def pods(machine: Machine) -> list[dict[str, object]]:
    return json.loads(machine.succeed("kubectl get pods --all-namespaces --output json"))["items"]


def all_ready(machine: Machine, least: int) -> None:
    end = time.monotonic() + 1800
    while True:
        try:
            items = pods(machine)
            bad = [
                pod["metadata"]["name"]
                for pod in items
                if not any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))
            ]
        except (Failed, KeyError):
            items, bad = [], ["?"]
        if len(items) >= least and not bad:
            return
        if time.monotonic() > end:
            raise Failed(f"{len(items)} pods, not Ready: {bad}: {machine.execute('kubectl get pods -A -o wide')[1]}")
        time.sleep(5)


def switch(machine: Machine, system: str) -> tuple[int, str]:
    """What `nixos-rebuild switch` does with a system that is built."""
    return machine.execute(
        f"""
        mkdir -p /nix/var/nix/profiles
        cd /nix/var/nix/profiles
        next=$(( $( (ls -d system-*-link 2>/dev/null || true) | sed 's/[^0-9]//g' | sort -n | tail -n1) + 1 ))
        ln -sfn {system} system-$next-link
        ln -sfn system-$next-link system
        system/bin/switch-to-configuration switch
        """,
        3600,
    )


def back(machine: Machine) -> tuple[int, str]:
    """What `nixos-rebuild switch --rollback` does."""
    return machine.execute(
        """
        cd /nix/var/nix/profiles
        now=$(readlink system | sed 's/[^0-9]//g')
        ln -sfn system-$(( now - 1 ))-link system
        system/bin/switch-to-configuration switch
        """,
        3600,
    )


def switched(answer: tuple[int, str]) -> None:
    if answer[0] != 0:
        raise Failed(f"switch-to-configuration ended with {answer[0]}: {answer[1][-3000:]}")


def nixos(n1: Machine, system: str) -> None:
    """What NixOS' own stage 2 makes of the toplevel."""
    check("the machine runs the system that was built", lambda: n1.succeed("readlink /run/current-system").strip() == system)
    check("units are a link into the store", lambda: n1.succeed("readlink -f /etc/systemd/system").startswith("/nix/store/"))
    check("and cannot be written", lambda: n1.fail("touch /etc/systemd/system/x.service"))
    check("nothing is in /usr/bin but env, and in /bin but sh", lambda: n1.succeed("ls /usr/bin /bin").split() == ["/bin:", "sh", "/usr/bin:", "env"])
    check("users and groups are there", lambda: n1.succeed("getent passwd messagebus systemd-network", "getent group wheel"))
    check("wrappers are there", lambda: n1.succeed("test -u /run/wrappers/bin/mount"))
    check("tmpfiles made the folder of network plugins", lambda: n1.succeed("test -x /opt/cni/bin/bridge", "touch /opt/cni/bin/own"))
    check("sysctls are set", lambda: n1.succeed("sysctl -n net.ipv4.ip_forward net.bridge.bridge-nf-call-iptables").split() == ["1", "1"])
    check("kernel modules are loaded", lambda: n1.succeed("grep -q ^br_netfilter /proc/modules"))
    n1.wait_for_unit("firewall.service")
    check("the firewall lets in the API and the kubelet", lambda: n1.succeed("iptables -S nixos-fw | grep -e '--dport 6443'", "iptables -S nixos-fw | grep -e '--dport 10250'"))


def init(n1: Machine) -> None:
    if not check("roost-bootstrap.service brings up the control plane", lambda: n1.wait_for_unit("roost-bootstrap.service", 3600)):
        return
    check("the node is Ready", lambda: ready(n1, "n1"))
    check("all pods are Ready", lambda: all_ready(n1, 6))
    check("static-pods.target is reached", lambda: n1.wait_for_unit("static-pods.target"))
    for pod in ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]:
        check(f"{pod} is a unit", lambda pod=pod: n1.succeed(f"systemctl is-active static-pod@{pod}.service"))
    check("an image of the store is in containerd", lambda: n1.succeed("ctr --namespace k8s.io images list --quiet | grep busybox"))
    check("timers run", lambda: n1.succeed("systemctl is-active roost-renewal.timer roost-snapshot.timer roost-drill.timer"))
    check("no unit failed", lambda: n1.succeed("systemctl --failed --plain --no-legend").strip() == "")


POD = """
kubectl apply --filename - <<END
apiVersion: v1
kind: Pod
metadata: {name: shell}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: localhost/busybox:1
    command: [sleep, "1000000"]
END
"""
MANIFEST = """
cat >/etc/kubernetes/manifests/sleeper.yaml <<END
apiVersion: v1
kind: Pod
metadata: {name: sleeper}
spec:
  hostNetwork: true
  containers:
  - name: sleeper
    image: host:$(readlink -f $(command -v sleep))
    args: ["1000000"]
END
"""


def guide(n1: Machine) -> None:
    check("kubectl works as root, as the shell is", lambda: "n1" in n1.succeed("bash --login -c 'kubectl get nodes'"))
    check("a pod of the API runs from an image of the store", lambda: (n1.succeed(POD), n1.succeed("kubectl wait --for=condition=Ready pod/shell --timeout=600s")))
    check("a name of a Service resolves in it", lambda: n1.wait_until_succeeds("kubectl exec shell -- nslookup kubernetes.default.svc.cluster.local", 300))
    n1.succeed(MANIFEST)
    check("a manifest that is dropped runs as a unit", lambda: n1.wait_until_succeeds("systemctl is-active static-pod@sleeper.service", 300))
    check("bootstrap status finds no problem", lambda: n1.wait_until_succeeds("bootstrap status", 600))
    check("the snapshot's unit works", lambda: n1.succeed("systemctl start roost-snapshot.service", "ls /var/lib/roost/snapshots/*.db*"))
    check("the renewal's unit works", lambda: n1.succeed("systemctl start roost-renewal.service"))


RUNNING = "ctr --namespace k8s.io tasks list --quiet | sort"


def rebuild(n1: Machine, systems: dict[str, str]) -> None:
    before = set(n1.succeed(RUNNING).split())
    kubelet = n1.succeed("systemctl show --property MainPID kubelet.service")

    check("a second generation is switched to", lambda: switched(switch(n1, systems["second"])))
    check("it is the current one", lambda: n1.succeed("readlink /run/current-system").strip() == systems["second"])
    check("the kubelet is another process", lambda: n1.succeed("systemctl show --property MainPID kubelet.service") != kubelet)
    check("no container ended", lambda: before <= set(n1.succeed(RUNNING).split()))
    check("the changed timer is in force", lambda: n1.succeed("systemctl cat roost-snapshot.timer | grep hourly"))
    check("the node has its new label", lambda: n1.wait_until_succeeds("kubectl get node n1 --output jsonpath='{.metadata.labels.rack}' | grep -x r1", 300))
    check("the new static pod answers", lambda: n1.wait_until_succeeds("systemctl is-active static-pod@web.service && curl --silent --output /dev/null http://127.0.0.1:8080/", 600))

    def broken() -> bool:
        status, text = switch(n1, systems["broken"])
        return status != 0 and "roost-manifests.service" in text

    check("a generation whose pod cannot run is refused by the switch", broken)
    check("its set is rolled back", lambda: n1.wait_until_succeeds("(bootstrap status --output json || true) | grep 'rolled back'", 900))
    check("the pod of before answers", lambda: n1.wait_until_succeeds("curl --silent --output /dev/null http://127.0.0.1:8080/", 600))

    check("the generation before is switched to again", lambda: switched(back(n1)))
    check("no unit failed", lambda: n1.succeed("systemctl --failed --plain --no-legend").strip() == "")
    check("no container of the first generation ended", lambda: before <= set(n1.succeed(RUNNING).split()))


def reboot(n1: Machine, systems: dict[str, str]) -> None:
    n1.succeed("kubectl create configmap kept --from-literal=key=value")
    n1.reboot()
    check("after a reboot the machine runs the last generation", lambda: n1.succeed("readlink /run/current-system").strip() == systems["second"])
    check("the API has what it had", lambda: n1.wait_until_succeeds("kubectl get configmap kept", 1800))
    check("the node is Ready", lambda: ready(n1, "n1"))
    check("all pods are Ready", lambda: all_ready(n1, 9))
    check("the manifest that was dropped runs", lambda: n1.wait_until_succeeds("systemctl is-active static-pod@sleeper.service", 300))
    n1.succeed("rm /etc/kubernetes/manifests/sleeper.yaml")
    check("and is gone with its file", lambda: n1.wait_until_fails("systemctl is-active static-pod@sleeper.service", 300))
    check("no unit failed", lambda: n1.succeed("systemctl --failed --plain --no-legend").strip() == "")


def join(n1: Machine, folder: str, work: str) -> Machine:
    """The pin goes into the configuration, and the token into a file, as a user has it from the first node."""
    words = n1.succeed("bootstrap token create --print-join-command").split()
    token, pin = words[words.index("--token") + 1], words[words.index("--ca-hash") + 1]
    say("building the system that joins")
    made = subprocess.run([f"{folder}/run", "--joining", work, pin, token], capture_output=True, text=True, check=True)
    n2 = Machine("n2", "n1", f"{work}/machines", made.stdout.strip(), f"{work}/machines/n2.store")
    n2.start()
    if check("roost-bootstrap.service joins the cluster", lambda: n2.wait_for_unit("roost-bootstrap.service", 3600)):
        check("the second node is Ready", lambda: ready(n1, "n2"))
        check("all pods are Ready", lambda: all_ready(n1, 9))
        n2.succeed("rm /var/lib/secrets/join-token")
        n2.reboot()
        check("without the token, after a reboot, the agent runs", lambda: n2.wait_for_unit("roost-agent.service"))
        check("roost-bootstrap.service does not fail", lambda: n2.wait_for_unit("roost-bootstrap.service", 1800))
        check("the second node is Ready again", lambda: n1.wait_until_succeeds("kubectl wait --for=condition=Ready node/n2 --timeout=10s", 1800))
    return n2


def main() -> int:
    global failed
    folder, work = sys.argv[1:3]
    with open(f"{work}/systems.json") as file:
        systems: dict[str, str] = json.load(file)
    steps = os.environ.get("STEPS", "init guide rebuild reboot join").split()
    n1 = Machine("n1", "n2", f"{work}/machines", systems["first"], f"{work}/machines/n1.store")
    machines = [n1]
    try:
        n1.start()
        say("n1 is up")
        nixos(n1, systems["first"])
        check("the first generation is made the one that boots", lambda: switched(switch(n1, systems["first"])))
        init(n1)
        if "guide" in steps:
            guide(n1)
        if "rebuild" in steps:
            rebuild(n1, systems)
        if "reboot" in steps:
            reboot(n1, systems)
        if "join" in steps:
            machines.append(join(n1, folder, work))
        print(n1.execute("kubectl get nodes -o wide; kubectl get pods -A -o wide; systemctl --failed --no-pager")[1])
        for machine in machines:
            check(f"{machine.name} is switched off", machine.shutdown)
    except (Failed, Gone) as error:
        failed += 1
        say(f"FAIL the run ended early: {error}")
    finally:
        for machine in machines:
            if machine.process is not None and machine.process.poll() is None and failed:
                try:
                    print(machine.execute("systemctl --failed; journalctl --no-pager -p warning -n 80", 60)[1], flush=True)
                except (Failed, Gone, OSError):
                    pass
            machine.kill()
            if log := os.environ.get("LOGS"):
                shutil.copy(machine.console, log)
    print(f"{passed} passed, {failed} failed, 0 skipped", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
