# shellcheck shell=bash
# Shared by the tests of nodes like NixOS: their units, and generations with other programs.

active() { on "$1" -- systemctl is-active --quiet "$2"; }
property() { on "$1" -- systemctl show --property="$3" --value "$2"; }
upkeep_ended() { is success property "$1" roost-bootstrap.service Result && active "$1" roost-bootstrap.service; }
nothing_to_do() { on "$1" -- bootstrap init --output json | jq -e '.changed == 0'; }

# programs NODE: of the control plane's components, as manifests or units have them.
programs() { on "$1" -- sh -c 'cat /etc/kubernetes/manifests/*.yaml /etc/systemd-mutable/system/roost-*.service 2>/dev/null || true' | grep -oE '/nix/store/[^ "]*/bin/kube-(apiserver|controller-manager|scheduler)' | sort -u; }
# programs_of PACKAGE: what `programs` prints where all of them are of that one.
programs_of() { printf "$1/bin/%s\n" kube-apiserver kube-controller-manager kube-scheduler; }

# kubernetes_options VERSION PACKAGE: what a nixpkgs with that pkgs.kubernetes sets.
kubernetes_options() {
	printf 'versions = { kube_apiserver = "%s"; kube_controller_manager = "%s"; kube_scheduler = "%s"; }; ' "$1" "$1" "$1"
	echo "components.binaries = { kube-apiserver = \"$2/bin/kube-apiserver\"; kube-controller-manager = \"$2/bin/kube-controller-manager\"; kube-scheduler = \"$2/bin/kube-scheduler\"; };"
}

# retag_proxy FROM TO: the image of kube-proxy, which is no program of the store here, under another version.
retag_proxy() {
	local node
	for node in "${nodes[@]}"; do on "$node" -- ctr -n k8s.io images tag --force "registry.k8s.io/kube-proxy:$1" "registry.k8s.io/kube-proxy:$2"; done
}

# another_version FROM TO PACKAGE: a generation of n1 with that Kubernetes changes nothing that runs, `bootstrap upgrade`
# does, and the previous generation does not downgrade it.
another_version() {
	local before
	before=$(programs n1)
	retag_proxy "$1" "$2"
	running=$(processes n1)
	cluster rebuild n1 "$(kubernetes_options "$2" "$3")"
	upkeep_ended n1
	is "$before" programs n1
	is "$running" processes n1
	on n1 -- bootstrap upgrade plan --output json | jq -e --arg from "$1" --arg to "$2" '.allowed and .wanted == $to and .cluster.configured == $from'
	on n1 -- bootstrap upgrade apply
	is "$(programs_of "$3")" programs n1
	nothing_to_do n1
	k -n kube-system get configmap kubeadm-config -o yaml | matches "kubernetesVersion: $2"
	running=$(processes n1)
	cluster rollback n1
	upkeep_ended n1
	is "$(programs_of "$3")" programs n1
	is "$running" processes n1
	not on n1 -- bootstrap upgrade apply 2>"$log.said"
	matches 'a downgrade to' <"$log.said"
	rm "$log.said"
}

# processes NODE: the process id of each component.
processes() { on "$1" -- sh -c 'for p in etcd kube-apiserver kube-controller kube-scheduler; do echo "$p $(pgrep -xo $p)"; done'; }
