# shellcheck shell=bash
# Settings of three control planes, changed under a steady load of writes and reads.

. "$here/share/load.sh"

changes() { on "$1" -- bootstrap apply --output json "${@:2}" | jq .changed; }
at_rest() { is 0 changes "$1" --dry-run; }
sans_of() { openssl s_client -connect "$(cluster ip "$1"):6443" </dev/null 2>/dev/null | openssl x509 -noout -ext subjectAltName; }
flag_of() { api "$1" -n kube-system get pod "kube-apiserver-$1" -o json | jq -e --arg flag "$2" '.spec.containers[0].command | index($flag)'; }
labels_of() { api n1 get node "$1" -o json | jq -c '.metadata.labels | [."example.org/rack", ."example.org/size", ."example.org/mine"]'; }
kubelet_field() { on "$1" -- grep -q '^containerLogMaxFiles: 7' /var/lib/kubelet/config.yaml; }

# add NODE: adds to its settings.
add() {
	on "$1" -- sh -c "cp /etc/roost/cluster.toml /etc/roost/before.toml; printf '\n[certs]\nsans = [\"api.example.org\"]\n\n[args.kube-apiserver]\nmax-requests-inflight = \"390\"\n\n[args.kube-scheduler]\nv = \"3\"\n\n[node.labels]\n\"example.org/rack\" = \"$1\"\n\"example.org/size\" = \"big\"\n' >>/etc/roost/cluster.toml"
}

# watcher: polls all API servers; records how many were down, if any was.
watcher() {
	set +ex
	local node away answer
	while [ ! -e "$log.stop" ]; do
		away=0
		for node in "${three[@]}"; do
			(curl -sk --max-time 10 "https://$(cluster ip "$node"):6443/readyz" >"$log.ready-$node" 2>/dev/null || echo gone >"$log.ready-$node") &
		done
		wait
		for node in "${three[@]}"; do
			answer=$(cat "$log.ready-$node")
			[ "$answer" = ok ] || away=$((away + 1))
		done
		[ "$away" = 0 ] || echo "$(date +%T) $away $(head -c 60 "$log".ready-* | tr '\n' ' ')" >>"$log.away"
		sleep 0.2
	done
}

# under_load COMMAND...: runs it with a writer and a watcher; never more than one API server is down.
under_load() {
	: >"$log.away"
	load_begins
	watcher >/dev/null 2>&1 &
	local watches=$!
	load_goes_on
	"$@"
	load_goes_on
	load_ends
	touch "$log.stop"
	wait "$watches"
	rm -f "$log.stop" "$log".ready-*
	awk '$2 > most { most = $2 } END { print "at most " most + 0 " API servers away, seen in " NR " looks" }' "$log.away" >"$log.most"
	cat "$log.most"
	note "      $1: $(cat "$log.most"); $load"
	not grep -q ' [23] ' "$log.away"
	# Each of them was down for a moment: otherwise the test proves nothing.
	[ -s "$log.away" ]
	rm "$log.away" "$log.most"
	[ "$refused" = 0 ]
}

applied_at_once() {
	local node running=()
	for node in "${three[@]}"; do
		on "$node" -- bootstrap apply --output json >"$log.apply-$node" 2>&1 &
		running+=($!)
	done
	for node in "${!three[@]}"; do
		wait "${running[$node]}" || { cat "$log.apply-${three[$node]}" && return 1; }
	done
	rm "$log".apply-*
}

applied_under_load() {
	local node
	for node in "${three[@]}"; do
		at_rest "$node"
		add "$node"
	done
	on n2 -- bootstrap apply --dry-run >"$log.plan"
	grep -q '+ --max-requests-inflight=390' "$log.plan"
	grep -q 'issue .*apiserver.crt' "$log.plan"
	rm "$log.plan"
	under_load applied_at_once
	for node in "${three[@]}"; do
		at_rest "$node"
		on "$node" -- bootstrap verify
		sans_of "$node" | matches api.example.org
		eventually flag_of "$node" --max-requests-inflight=390
		is "[\"$node\",\"big\",null]" labels_of "$node"
	done
	whole
	# The turn is released.
	[ -z "$(k -n kube-system get lease roost-renewal -o 'jsonpath={.spec.holderIdentity}')" ]
}
it 'settings of three control planes are applied at once, one API server after another' applied_under_load

labels_follow() {
	local node
	for node in "${three[@]}"; do
		k label node "$node" example.org/mine=yes
		on "$node" -- sed -i '/example.org\/size/d' /etc/roost/cluster.toml
		not on "$node" -- bootstrap verify
		on "$node" -- bootstrap apply
		is "[\"$node\",null,\"yes\"]" labels_of "$node"
		at_rest "$node"
	done
	# A label that was changed by another client meanwhile is kept.
	k label node n2 --overwrite example.org/rack=moved
	on n2 -- sed -i '/example.org\/rack/d' /etc/roost/cluster.toml
	on n2 -- bootstrap apply
	is '["moved",null,"yes"]' labels_of n2
	at_rest n2
	k label nodes --all example.org/mine- example.org/rack-
}
it "a label is removed with its setting, and other clients' labels stay" labels_follow

another_one_speaks_for_the_cluster() {
	on n2 -- sed -i 's/^\[kubelet\]$/&\ncontainerLogMaxFiles = 7/' /etc/roost/cluster.toml
	# A control plane that joined takes over the cluster's settings, unless `--cluster` is given.
	is 0 changes n2
	on n2 -- bootstrap apply --cluster
	kubelet_field n2
	k -n kube-system get configmap kubelet-config -o yaml | grep 'containerLogMaxFiles: 7'
	on n3 -- bootstrap apply
	kubelet_field n3
	at_rest n3
	# The first one still defines the settings.
	not on n1 -- bootstrap verify
	on n1 -- bootstrap apply
	not kubelet_field n1
	not grep containerLogMaxFiles <<<"$(k -n kube-system get configmap kubelet-config -o yaml)"
	under_load taken_back
}
taken_back() {
	local node
	for node in "${three[@]}"; do on "$node" -- mv /etc/roost/before.toml /etc/roost/cluster.toml; done
	applied_at_once
	for node in "${three[@]}"; do
		# A certificate keeps a name that is no longer wanted until it is renewed.
		sans_of "$node" | matches api.example.org
		on "$node" -- bootstrap certs renew --all
		at_rest "$node"
		not kubelet_field "$node"
	done
}
it "with --cluster another control plane defines the cluster's settings" another_one_speaks_for_the_cluster
