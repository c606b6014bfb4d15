# shellcheck shell=bash
# `cluster up` from nothing to Ready nodes, in the order of the functions below.

bin=$("$here/../upstream/build" --dir)

build_programs() {
	local groups=(cluster)
	[ "$RUNTIME" != current ] || groups+=(runtime)
	mapfile -t -O ${#groups[@]} groups < <(other_versions)
	if [ "$KUBELET" = upstream ] || [ "$BOOTSTRAP" = kubeadm ]; then groups+=(reference); fi
	say 'building upstream programs (cached; some ten minutes the first time)'
	"$here/../upstream/build" "${groups[@]}"
	if [ -z "${PROGRAMS:-}" ] && { [ "$KUBELET" = ours ] || [ "$BOOTSTRAP" = ours ]; }; then
		say "building bootstrap and kubelet ($PROFILE)"
		(cd "$repo" && cargo build --quiet --locked --bins --profile "$PROFILE")
	fi
}

# our_program NAME: path of cargo's output.
our_program() {
	[ -z "${PROGRAMS:-}" ] || { echo "$PROGRAMS/$1" && return; }
	local target
	target=$(cd "$repo" && cargo metadata --no-deps --offline --format-version 1 | jq -r .target_directory)
	echo "$target/${PROFILE/#dev/debug}/$1"
}

# put SOURCE TARGET: installs a program, also over a running one.
put() { cmp -s "$1" "$2" || { install -m 0755 "$1" "$2.new" && mv "$2.new" "$2"; }; }

# install_programs NODE
install_programs() {
	local root
	root=$(node_root "$1")/usr/local/bin
	[ "$OS" = debian ] || return 0 # they are in its store
	put "$bin/kubectl" "$root/kubectl"
	if [ "$KUBELET" = upstream ]; then put "$bin/kubelet" "$root/kubelet"; else put "$(our_program kubelet)" "$root/kubelet"; fi
	[ "$SOURCE" != host ] || lay_programs "$1"
	if [ "$BOOTSTRAP" = ours ]; then put "$(our_program bootstrap)" "$root/bootstrap"; fi
}

# logged NODE COMMAND...: runs it in the node; its output goes to bootstrap.log and is shown only on failure.
logged() {
	local log
	log=$(node_dir "$1")/bootstrap.log
	node_enter "$@" >>"$log" 2>&1 || { tail -n 40 "$log" >&2; fail "node $1: '${*:2}' failed; all of its output is in $log"; }
}

# client: kubectl and its configuration for the machine itself.
client() {
	mkdir -p "$state/bin"
	ln -sfn "$bin/kubectl" "$state/bin/kubectl"
	install -m 0600 "$(node_root n1)/etc/kubernetes/admin.conf" "$state/admin.conf"
}

kubectl() { "$state/bin/kubectl" --kubeconfig "$state/admin.conf" "$@"; }

nodes_ready() {
	[ "$(kubectl get nodes -o 'jsonpath={range .items[*]}{.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}' | grep -cx True)" = "$NODES" ]
}

# pods_ready: every pod of kube-system is Ready (finished ones aside): CoreDNS twice, kube-proxy on each node, and the
# control plane if it consists of pods.
pods_ready() {
	local least=$((NODES + 2))
	[ "$MODE" = systemd ] || least=$((least + 4 * CONTROL_PLANES))
	kubectl get pods -n kube-system -o json | jq -e --argjson least "$least" '(.items | length) >= $least and
		all(.items[] | select(.status.phase != "Succeeded"); any(.status.conditions[]?; .type == "Ready" and .status == "True"))'
}

up() {
	"$here/prerequisites"
	build_programs
	image_archives >/dev/null
	boot
	local node
	for node in $(node_names); do install_programs "$node"; done
	say 'programs are in the nodes'
	[ "$BOOTSTRAP" != none ] || return 0
	if [ "$OS" = debian ]; then "${BOOTSTRAP/#ours/roost}_bootstrap"; else nixos_bootstrap; fi
	client
	wait_until 180 'all nodes Ready' nodes_ready
	say 'all nodes are Ready'
	wait_until 180 'all pods of kube-system Ready' pods_ready
	say 'all pods are Ready'
	kubectl get nodes -o wide
	echo
	echo "export KUBECONFIG=$state/admin.conf"
}
