# shellcheck shell=bash
# Static pods as systemd units: only with our kubelet, upstream's has nothing like it.
# shellcheck disable=SC2031,SC2154 # each test has a namespace of its own in $ns; run sets nodes and log

if [ "${KUBELET:-ours}" = ours ]; then

# gate NODE [IMAGE]: a static pod that is Ready while /var/lib/gate/open exists.
gate() {
	cat >"$log.manifest" <<-POD
		apiVersion: v1
		kind: Pod
		metadata: {name: gate, namespace: $ns}
		spec:
		  hostNetwork: true
		  terminationGracePeriodSeconds: 1
		  volumes: [{name: gate, hostPath: {path: /var/lib/gate, type: DirectoryOrCreate}}]
		  containers:
		  - name: main
		    image: ${2:-$busybox}
		    command: [sh, -c, 'echo the gate is here; trap exit TERM; while :; do sleep 0.1; done']
		    volumeMounts: [{name: gate, mountPath: /gate}]
		    readinessProbe: {exec: {command: [test, -e, /gate/open]}, periodSeconds: 1}
	POD
	on "$1" -- mkdir -p /etc/kubernetes/manifests /var/lib/gate
	cluster copy "$1" "$log.manifest" "/etc/kubernetes/manifests/.gate.new"
	on "$1" -- mv /etc/kubernetes/manifests/.gate.new /etc/kubernetes/manifests/gate.yaml
	rm "$log.manifest"
}

# gone NODE: nothing of the pod, its unit and its gate is left.
gone() {
	on "$1" -- rm -rf /etc/kubernetes/manifests/gate.yaml /var/lib/gate/open
	eventually unit_is inactive "$1" static-pod@gate
	eventually eval '! kn get pod gate-'"$1"
}

# unit_is STATE NODE UNIT
unit_is() { is "$1" on "$2" -- systemctl show -P ActiveState "$3"; }
status_has() { on "$1" -- systemctl show -P StatusText static-pod@gate | matches "$2"; }
pod_ready() { is True kn get pod "gate-$1" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}'; }
gate_id() { kn get pod "gate-$1" -o 'jsonpath={.status.containerStatuses[0].containerID}'; }

# service NODE NAME LINE...: the test's own service, which needs the gate.
service() {
	local node=$1 name=$2
	shift 2
	printf '%s\n' "$@" >"$log.unit"
	cluster copy "$node" "$log.unit" "/etc/systemd/system/$name.service"
	rm "$log.unit"
	on "$node" -- systemctl daemon-reload
}

unit_follows_readiness() {
	local node=${nodes[-1]}
	service "$node" bound '[Unit]' BindsTo=static-pod@gate.service After=static-pod@gate.service \
		'[Service]' 'ExecStart=sleep infinity' '[Install]' WantedBy=static-pod@gate.service
	on "$node" -- systemctl enable bound.service
	gate "$node"
	eventually kn get pod "gate-$node"
	eventually status_has "$node" 'main: running, not ready'
	unit_is activating "$node" static-pod@gate
	unit_is inactive "$node" bound

	on "$node" -- touch /var/lib/gate/open
	eventually unit_is active "$node" bound
	unit_is active "$node" static-pod@gate
	status_has "$node" 'Ready: 1 of 1'
	# A restart of the kubelet does not affect units.
	on "$node" -- systemctl restart kubelet
	beats "$node"
	unit_is active "$node" bound

	on "$node" -- rm /var/lib/gate/open
	eventually unit_is inactive "$node" bound
	unit_is activating "$node" static-pod@gate
	on "$node" -- touch /var/lib/gate/open
	eventually unit_is active "$node" bound

	gone "$node"
	eventually unit_is inactive "$node" bound
	on "$node" -- systemctl disable bound.service
	on "$node" -- rm /etc/systemd/system/bound.service
}
it 'a unit is active while its static pod is ready, and units bound to it follow' unit_follows_readiness

unit_acts_on_its_pod() {
	local node=${nodes[-1]} id
	gate "$node"
	on "$node" -- touch /var/lib/gate/open
	eventually pod_ready "$node"
	on "$node" -- systemctl start static-pod@gate
	on "$node" -- journalctl -u static-pod@gate -o json --output-fields=CONTAINER,NAMESPACE,POD,MESSAGE |
		jq -es --arg ns "$ns" --arg pod "gate-$node" 'any(.MESSAGE == "the gate is here" and .CONTAINER == "main" and .NAMESPACE == $ns and .POD == $pod)'
	# They are filed under the pod's unit, and the kubelet's own journal has none of them.
	on "$node" -- journalctl _SYSTEMD_UNIT=static-pod@gate.service -o cat | matches '^the gate is here$'
	not eval 'on "$node" -- journalctl -u kubelet -o cat | matches "^the gate is here$"'

	id=$(gate_id "$node")
	on "$node" -- systemctl restart static-pod@gate
	eventually pod_ready "$node"
	[ "$(gate_id "$node")" != "$id" ]

	on "$node" -- systemctl stop static-pod@gate
	is '' on "$node" -- sh -c 'ctr -n k8s.io containers ls -q | grep '"${id##*/}"' || true'
	eventually eval '! kn get pod gate-'"$node"
	on "$node" -- systemctl restart kubelet
	beats "$node"
	unit_is inactive "$node" static-pod@gate
	if kn get pod "gate-$node"; then return 1; fi
	on "$node" -- systemctl start static-pod@gate
	unit_is active "$node" static-pod@gate
	eventually pod_ready "$node"

	on "$node" -- systemctl reload static-pod@gate
	on "$node" -- sh -c 'echo "spec: [" >> /etc/kubernetes/manifests/gate.yaml'
	if on "$node" -- systemctl reload static-pod@gate; then return 1; fi
	on "$node" -- journalctl -u static-pod@gate -n 20 | matches '/etc/kubernetes/manifests/gate.yaml is invalid'
	unit_is active "$node" static-pod@gate
	gone "$node"
	# A name without a manifest is rejected immediately.
	if on "$node" -- systemctl start static-pod@gate; then return 1; fi
	on "$node" -- systemctl reset-failed static-pod@gate || true
}
it 'start, stop, restart and reload of a unit act on its static pod, and its journal has the lines' unit_acts_on_its_pod

boot_is_ordered() {
	local node=${nodes[-1]}
	gate "$node"
	on "$node" -- touch /var/lib/gate/open
	service "$node" ordered '[Unit]' Wants=static-pods.target After=static-pods.target \
		'[Service]' Type=oneshot 'ExecStart=sh -c "systemctl show -P ActiveState static-pod@gate >/run/ordered"' \
		'[Install]' WantedBy=multi-user.target
	on "$node" -- systemctl enable ordered.service
	eventually pod_ready "$node"
	cluster reboot "$node"
	eventually on "$node" -- test -s /run/ordered
	is active on "$node" -- cat /run/ordered
	on "$node" -- systemctl disable ordered.service
	on "$node" -- rm /etc/systemd/system/ordered.service
	beats "$node"
	gone "$node"
}
it 'a service ordered after all static pods starts at boot once they are ready' boot_is_ordered

fi
