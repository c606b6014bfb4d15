# shellcheck shell=bash
# A control plane is converted between services and static pods under a steady load of writes.

# writes: ConfigMaps one after another until the file `stop` is there; the acknowledged ones with their time.
writes() {
	local - i=0
	set +ex
	while [ ! -e "$log.stop" ]; do
		i=$((i + 1))
		if kn create configmap "write-$1-$i" --request-timeout=5s >/dev/null 2>&1; then echo "$(date +%s%N) write-$1-$i" >>"$log.written"; else echo "$i" >>"$log.failed"; fi
	done
}

# under_writes LABEL COMMAND...: runs it during writes; no acknowledged write is lost.
under_writes() {
	local label=$1 writer name
	shift
	rm -f "$log.stop" "$log.written"
	: >"$log.failed"
	writes "$label" &
	writer=$!
	"$@"
	sleep 2
	touch "$log.stop"
	wait $writer
	eventually api_ready
	[ "$(wc -l <"$log.written")" -gt 5 ]
	kn get configmaps -o name | cut -d/ -f2 | sort >"$log.there"
	cut -d' ' -f2 "$log.written" | sort >"$log.acknowledged"
	is '' comm -23 "$log.acknowledged" "$log.there"
	# For readers; no test asserts a time.
	awk -v label="$label" -v failed="$(wc -l <"$log.failed")" '
		NR > 1 && $1 - last > gap { gap = $1 - last } { last = $1; n++ }
		END { printf "%s: %d writes acknowledged, %d refused, longest pause %.1f s\n", label, n, failed, gap / 1e9 }' "$log.written" >>"$state/figures"
	rm -f "$log".{stop,written,failed,there,acknowledged}
}

to() { on n1 -- bootstrap convert --to "$1"; }

as_pods() {
	local name
	for name in $components; do
		not active "$name"
		on n1 -- test -f "/etc/kubernetes/manifests/$name.yaml"
		not on n1 -- test -e "/etc/systemd/system/$(unit "$name")"
	done
	is root on n1 -- stat -c %U /var/lib/etcd/member
	eventually is 4 pods_of_components
	k -n kube-system wait --for=condition=Ready pod --all --timeout=180s
}
as_services() {
	local name
	for name in $components; do
		active "$name"
		not on n1 -- test -e "/etc/kubernetes/manifests/$name.yaml"
	done
	is roost-etcd on n1 -- stat -c %U /var/lib/etcd/member/snap/db
	eventually is 0 pods_of_components
}

there_and_back() {
	# The plan is printed first, and nothing is done.
	on n1 -- bootstrap convert --to static-pods --dry-run --output json | jq -e '.changed > 10 and .mode == "static-pods"'
	on n1 -- bootstrap convert --to systemd --output json | jq -e '.changed == 0'
	under_writes to-static-pods to static-pods
	as_pods
	eventually status_well
	# Neither init with the older settings nor a second run of the same creates another one.
	not on n1 -- bootstrap init
	on n1 -- bootstrap convert --to static-pods --output json | jq -e '.changed == 0 and .setModeIn == "/etc/roost/cluster.toml"'
	under_writes to-systemd to systemd
	as_services
	eventually status_well
	on n1 -- bootstrap init --output json | jq -e '.changed == 0'
}
it 'a live control plane is converted to static pods and back, and no acknowledged write is lost' there_and_back

# cut_short SECONDS MODE: a conversion that is killed after so long.
cut_short() { on n1 -- timeout --signal=KILL "$1" bootstrap convert --to "$2" || true; }

killed_on_the_way() {
	local seconds
	kn create configmap kept
	for seconds in 1 3 6; do
		cut_short $seconds static-pods
		to static-pods
		as_pods
		cut_short $seconds systemd
		to systemd
		as_services
		kn get configmap kept
	done
	eventually status_well
}
it 'a conversion that is killed continues when it is run again' killed_on_the_way
