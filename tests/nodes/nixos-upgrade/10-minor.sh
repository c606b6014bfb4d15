# shellcheck shell=bash
# From v1.35.4 to v1.36.3 by generations: n1 has the control plane, n2 is a worker. For MODE=static-pods and MODE=systemd.

. "$here/share/generations.sh"

serves() { k get --raw /version | jq -e --arg version "$1" '.gitVersion == $version'; }
nodes_ready() { k wait --for=condition=Ready node/n1 node/n2 --timeout=5s; }
# package_of VERSION: pkgs.kubernetes of that version in the store of n1.
package_of() {
	local name programs=() bin
	bin=$("$repo/tests/upstream/build" --dir)
	for name in kube-{apiserver,controller-manager,scheduler}; do programs+=("$name=$bin/$name${1:+-$1}"); done
	cluster package n1 "kubernetes${1:+-$1}" "${programs[@]}"
}
is_static() { on n1 -- test -f /etc/kubernetes/manifests/kube-apiserver.yaml; }

a_program_that_does_not_run() {
	local before broken bin
	is_static || return 0 # the rebuild itself upgrades services, which only another rebuild reverts
	before=$(programs n1) bin=$("$repo/tests/upstream/build" --dir)
	# A controller manager that prints its usage, and exits.
	broken=$(cluster package n1 kubernetes-broken "$bin"/kube-{apiserver,scheduler} "kube-controller-manager=$bin/etcdutl")
	cluster rebuild n1 "versions.kubelet = \"v1.36.3\"; $(kubernetes_options v1.36.3 "$broken")"
	not on n1 -- bootstrap upgrade apply --timeout 60s >"$log.said" 2>&1
	cat "$log.said"
	matches 'kube-controller-manager did not become healthy' <"$log.said"
	rm "$log.said"
	is "$before" programs n1
	cluster rollback n1
	eventually serves v1.35.4
}
it 'a program that does not run is rolled back by the upgrade, and the generation by the system' a_program_that_does_not_run

to_the_next_minor() {
	local next before
	pod witness n2 pause
	kn create configmap kept --from-literal=key=value
	serves v1.35.4
	next=$(package_of '')
	before=$(containers | grep witness)
	cluster rebuild n1 "versions.kubelet = \"v1.36.3\"; $(kubernetes_options v1.36.3 "$next")"
	if is_static; then
		serves v1.35.4
		on n1 -- bootstrap upgrade plan --output json | jq -e '.allowed and .wanted == "v1.36.3" and .cluster.configured == "v1.35.4"'
		on n1 -- bootstrap upgrade apply
	fi
	eventually serves v1.36.3
	is "$(programs_of "$next")" programs n1
	nothing_to_do n1
	k -n kube-system get configmap kubeadm-config -o yaml | matches 'kubernetesVersion: v1.36.3'
	k -n kube-system rollout status daemonset kube-proxy --timeout=180s
	k -n kube-system get daemonset kube-proxy -o json | jq -e '.spec.template.spec.containers[0].image | endswith(":v1.36.3")'
	# The worker follows with its own generation.
	cluster rebuild n2 "versions.kubelet = \"v1.36.3\"; $(kubernetes_options v1.36.3 "$next")"
	if is_static; then on n2 -- bootstrap upgrade node; fi
	eventually nodes_ready
	kn get configmap kept
	is "$before" eval 'containers | grep witness'
}
it 'a generation of the next minor version and `bootstrap upgrade` upgrade the cluster, and pods keep running' to_the_next_minor

# An older API server may be unable to read data of a newer one.
no_way_back() {
	cluster reboot n1
	eventually serves v1.36.3
	eventually upkeep_ended n1
	if is_static; then
		cluster rollback n1
		upkeep_ended n1
		serves v1.36.3
		not on n1 -- bootstrap upgrade apply
	fi
	pod lives n1 pause
}
it 'the new version runs after a reboot, and the previous generation does not downgrade it' no_way_back
