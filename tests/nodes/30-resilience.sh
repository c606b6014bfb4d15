# shellcheck shell=bash
# Failures on a node, and what must keep working during them.

restarts() { kn get pod "$1" -o 'jsonpath={.status.containerStatuses[0].restartCount}'; }
container_id() { kn get pod "$1" -o 'jsonpath={.status.containerStatuses[0].containerID}'; }

killed_container_restarts() {
	pod victim "${nodes[-1]}" pause
	local id
	id=$(container_id victim)
	on "${nodes[-1]}" -- ctr -n k8s.io tasks kill -s SIGKILL "${id#containerd://}"
	eventually is 1 restarts victim
	ready pod/victim
	[ "$(container_id victim)" != "$id" ]
	[ "$(kn get pod victim -o 'jsonpath={.status.containerStatuses[0].lastState.terminated.exitCode}')" = 137 ]
}
it 'a killed container is restarted, and its termination is reported' killed_container_restarts

failed_liveness_restarts() {
	kn apply -f - <<-POD
		apiVersion: v1
		kind: Pod
		metadata: {name: sick}
		spec:
		  terminationGracePeriodSeconds: 1
		  containers:
		  - name: main
		    image: $agnhost
		    args: [liveness]
		    livenessProbe: {httpGet: {path: /healthz, port: 8080}, initialDelaySeconds: 3, periodSeconds: 1, failureThreshold: 1}
	POD
	eventually eval '[ "$(restarts sick)" -ge 1 ]'
}
it 'a container whose liveness probe fails is restarted' failed_liveness_restarts

crashing_container_backs_off() {
	kn apply -f - <<-POD
		apiVersion: v1
		kind: Pod
		metadata: {name: crash}
		spec:
		  nodeName: ${nodes[-1]}
		  tolerations: [{operator: Exists}]
		  containers: [{name: main, image: $busybox, command: [sh, -c, 'echo run; exit 3']}]
	POD
	state() { kn get pod crash -o "jsonpath={.status.containerStatuses[0].$1}"; }
	eventually is CrashLoopBackOff state state.waiting.reason
	eventually is 2 state restartCount
	[ "$(state lastState.terminated.exitCode)" = 3 ]
	# Log collectors find each run, and runs whose pod is gone leave nothing behind.
	links() { on "${nodes[-1]}" -- sh -c "ls /var/log/containers | grep -c ^crash_${ns}_main-"; }
	logs() { on "${nodes[-1]}" -- sh -c "ls /var/log/pods/${ns}_crash_*/main | grep -c log"; }
	eventually is 2 links
	eventually is 2 logs
	kn delete pod crash
	eventually is 0 eval 'links || true'
}
it 'a crashing container waits longer each time, and its old logs are removed' crashing_container_backs_off

# survives NODE COMMAND...: runs the command on the node; every container is the same afterwards.
survives() {
	local node=$1 before
	shift
	pod witness "$node" pause
	eventually eval 'kn get pod witness -o json | jq -e ".status.containerStatuses[0].containerID"'
	before=$(containers)
	on "$node" -- "$@"
	sleep 2
	eventually node_ready "$node"
	beats "$node"
	eventually is "$before" containers
	ready pod/witness
	eventually kn exec witness -- true
	# The node still works: a new pod starts there.
	pod newcomer "$node" pause
}

kubelet_restart() { survives "${nodes[-1]}" systemctl restart kubelet.service; }
it 'a restart of the kubelet loses no container' kubelet_restart

kubelet_restart_on_control_plane() { survives "${nodes[0]}" systemctl restart kubelet.service; }
it 'a restart of the kubelet beside the control plane loses no container' kubelet_restart_on_control_plane

kubelet_killed() { survives "${nodes[0]}" systemctl kill --signal=KILL --kill-whom=main kubelet.service; }
it 'a killed kubelet restarts and loses no container' kubelet_killed

containerd_killed() { survives "${nodes[-1]}" systemctl kill --signal=KILL --kill-whom=main containerd.service; }
it 'a killed containerd restarts and loses no container' containerd_killed

containerd_restarted_on_control_plane() { survives "${nodes[0]}" systemctl restart containerd.service; }
it 'a restart of containerd beside the control plane loses no container' containerd_restarted_on_control_plane

# Of the system and of this test: pods of the previous test may still be terminating.
pods_of() { k get pods -A -o json | jq -r --arg node "$1" --arg ns "$ns" '.items[] | select(.spec.nodeName == $node and (.metadata.namespace == "kube-system" or .metadata.namespace == $ns)) | "\(.metadata.namespace)/\(.metadata.name) \(.metadata.uid)"' | sort; }
all_ready_on() {
	k get pods -A -o json | jq -e --arg node "$1" '[.items[] | select(.spec.nodeName == $node and .metadata.deletionTimestamp == null)] |
		length > 0 and all(any(.status.conditions[]; .type == "Ready" and .status == "True"))'
}

# comes_back NODE COMMAND...: the command restarts the node; every pod is there and Ready again.
comes_back() {
	local node=$1 boot pods
	shift
	pod witness "$node" netexec --http-port=8080
	eventually all_ready_on "$node"
	pods=$(pods_of "$node")
	boot=$(k get node "$node" -o 'jsonpath={.status.nodeInfo.bootID}')
	"$@"
	eventually k get --raw /readyz
	beats "$node"
	eventually is "$pods" pods_of "$node"
	eventually eval '[ "$(restarts witness)" -ge 1 ]'
	eventually all_ready_on "$node"
	# Its network works again as well.
	pod client "${nodes[-1]}" pause
	eventually kn exec client -- curl -sfm 3 "http://$(kn get pod witness -o 'jsonpath={.status.podIP}'):8080/hostname"
	eventually kn exec client -- curl -sfm 3 -k https://kubernetes.default.svc.cluster.local/version
	echo "boot id was $boot"
}

worker_reboot() { comes_back "${nodes[-1]}" cluster reboot "${nodes[-1]}"; }
it 'a reboot of a worker loses no pod' worker_reboot

control_plane_reboot() { comes_back "${nodes[0]}" cluster reboot "${nodes[0]}"; }
it 'a reboot of the control plane loses no pod' control_plane_reboot

power_cut() {
	cut() { cluster kill "${nodes[0]}" && cluster start "${nodes[0]}"; }
	comes_back "${nodes[0]}" cut
}
it 'a power cut of the control plane loses no pod' power_cut

is_off() { cluster status | matches "^$1 .*stopped"; }

# A shutdown that logind knows of (as by the power button or `systemctl poweroff`), with shutdownGracePeriod set.
orderly_shutdown() {
	local node=${nodes[-1]}
	# shellcheck disable=SC2016 # for the shells of the containers
	local say='trap "sleep $0; cut -d. -f1 /proc/uptime >/host/$1; exit 3" TERM; while :; do sleep 0.2; done'
	ending() { # ending NAME SECONDS: a pod that writes the time of its termination
		jq -n --arg name "$1" --arg say "$say" --arg seconds "$2" --arg image "$busybox" --arg ns "$ns" --arg node "$3" '{
			apiVersion: "v1", kind: "Pod", metadata: {name: $name, namespace: $ns}, spec: ({
				terminationGracePeriodSeconds: 15, volumes: [{name: "host", hostPath: {path: "/var/lib/shutdown-test"}}],
				containers: [{name: "main", image: $image, command: ["sh", "-c", $say, $seconds, $name],
					volumeMounts: [{name: "host", mountPath: "/host"}]}]} + if $node == "" then {} else {nodeName: $node} end)}'
	}
	on "$node" -- rm -rf /var/lib/shutdown-test
	on "$node" -- mkdir -p /var/lib/shutdown-test /etc/kubernetes/manifests
	ending of-api 3 "$node" | kn apply -f -
	ending static 1 '' >"$log.manifest"
	cluster copy "$node" "$log.manifest" "/etc/kubernetes/manifests/$ns.yaml"
	rm "$log.manifest"
	ready pod/of-api
	eventually ready "pod/static-$node"
	on "$node" -- systemctl poweroff
	eventually is_off "$node"
	# The outcome is known although the node is down. (If all containers exit with 0 the pod has succeeded, as with
	# upstream's.)
	if [ "${KUBELET:-ours}" = ours ]; then
		is 'Failed Terminated' kn get pod of-api -o 'jsonpath={.status.phase} {.status.reason}'
	else
		kn get pod of-api -o 'jsonpath={.status.phase}' | grep -E 'Failed|Succeeded'
	fi
	cluster start "$node"
	eventually node_ready "$node"
	beats "$node"
	# Both had their time; with ours the static pod is terminated after the other, whose end can still be reported to an
	# API server that is a static pod itself.
	on "$node" -- cat /var/lib/shutdown-test/static /var/lib/shutdown-test/of-api >"$log.ends"
	is 2 grep -c . "$log.ends"
	[ "${KUBELET:-ours}" != ours ] || sort -rnc "$log.ends"
	rm "$log.ends"
	eventually ready "pod/static-$node"
	on "$node" -- rm "/etc/kubernetes/manifests/$ns.yaml"
	eventually eval '! kn get pod '"static-$node"
}
it 'an orderly shutdown of a node gives its pods their time, reports how they terminated, and static pods run again' orderly_shutdown
