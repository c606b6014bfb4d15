# shellcheck shell=bash
# Another generation of a node, and back: changes are applied, and no pod is terminated.

pods_of_the_node() { k get node "$1" -o 'jsonpath={.status.capacity.pods}'; }
upkeep_ended() { is success property n1 roost-bootstrap.service Result && active n1 roost-bootstrap.service; }

a_changed_option() {
	local before
	pod witness n2 pause
	before=$(containers)
	cluster rebuild n2 'settings.node.kubelet.maxPods = 42;'
	eventually is 42 pods_of_the_node n2
	eventually upkeep_ended
	[ "$(containers)" = "$before" ]
	cluster rollback n2
	eventually is 110 pods_of_the_node n2
	[ "$(containers)" = "$before" ]
	ready pod/witness
}
it 'a rebuild applies a changed option, a rollback reverts it, and no container exits' a_changed_option

a_changed_component() {
	local flags
	flags() { k -n kube-system get pod kube-scheduler-n1 -o 'jsonpath={.spec.containers[0].command}'; }
	cluster rebuild n1 'settings.args.kube-scheduler.v = "3";'
	eventually eval 'flags | matches -- --v=3'
	eventually upkeep_ended
	on n1 -- bootstrap init --output json | jq -e '.changed == 0'
	cluster rollback n1
	eventually eval 'not eval "flags | matches -- --v=3"'
	eventually k wait --for=condition=Ready -n kube-system pod/kube-scheduler-n1 --timeout=5s
}
it 'a rebuild changes a component of the control plane, and a rollback changes it back' a_changed_component

what_does_not_evaluate() {
	local units
	units=$(on n1 -- readlink /etc/systemd/system)
	for settings in 'settings.nonsense = 1;' 'role = "king";'; do
		not cluster rebuild n1 "$settings" 2>"$log.error"
		cat "$log.error"
		grep -E 'nonsense|role' "$log.error"
	done
	rm "$log.error"
	[ "$(on n1 -- readlink /etc/systemd/system)" = "$units" ]
	active n1 kubelet.service
}
it 'invalid settings are an error that names them, and change nothing' what_does_not_evaluate

has_failed() { is exit-code property "$1" roost-bootstrap.service Result; }
a_broken_generation() {
	local before
	pod steady n2 pause
	before=$(containers)
	# Faults that only the kubelet can detect are reported by the service, before anything is changed.
	not cluster rebuild n2 'settings.node.kubelet.imageGCHighThresholdPercent = 200;'
	eventually has_failed n2
	on n2 -- journalctl -u roost-bootstrap.service -n 20 -o cat | matches imageGCHighThresholdPercent
	beats n2
	cluster rollback n2
	eventually active n2 roost-bootstrap.service
	[ "$(containers)" = "$before" ]
	is 110 pods_of_the_node n2
}
it 'a generation that the bootstrapper rejects leaves the node unchanged, and is rolled back' a_broken_generation
