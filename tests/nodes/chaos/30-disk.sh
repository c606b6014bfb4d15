# shellcheck shell=bash
# etcd's volume is full, and etcd's own quota is exceeded.

. "$here/share/control-planes.sh"
. "$here/share/load.sh"
. "$here/share/chance.sh"

# etcd_down NODE, etcd_up NODE: by the manifest.
etcd_down() {
	on "$1" -- mv /etc/kubernetes/manifests/etcd.yaml /root/etcd.yaml
	eventually on "$1" -- sh -c '! pgrep -x etcd'
}
etcd_up() { on "$1" -- mv /root/etcd.yaml /etc/kubernetes/manifests/etcd.yaml; }

full_volume() {
	pick "${three[@]}"
	local node=$picked size
	echo "the volume of $node"
	etcd_down "$node"
	# A separate volume with room for the two files of 64 MB that the log begins with, and some data.
	on "$node" -- sh -euc 'mkdir -p /root/small; mount -t tmpfs -o size=300m small /root/small
		cp -a /var/lib/etcd/. /root/small/; mount --bind /root/small /var/lib/etcd'
	etcd_up "$node"
	whole
	load_begins
	load_goes_on
	# The last byte is taken, and again whenever the log frees one.
	on "$node" -- sh -c 'cat /dev/zero >/var/lib/etcd/filler 2>/dev/null; df /var/lib/etcd'
	on "$node" -- pkill -KILL -x etcd || true
	on "$node" -- sh -c 'sleep 5; cat /dev/zero >/var/lib/etcd/filler2 2>/dev/null || true'
	# The other members continue, and the fault is reported.
	load_goes_on
	size=$(on "$node" -- sh -c "df --output=avail /var/lib/etcd | tail -n 1 | xargs")
	[ "$size" = 0 ]
	# Recovery: free space.
	on "$node" -- sh -c 'rm /var/lib/etcd/filler*'
	whole
	load_goes_on
	etcd_down "$node"
	on "$node" -- sh -euc 'umount /var/lib/etcd; rm -rf /var/lib/etcd/member
		cp -a /root/small/member /var/lib/etcd/; umount /root/small'
	etcd_up "$node"
	whole
	load_ends
	note "      full volume: $load"
}
it 'a full volume of etcd stops one member, and free space lets it recover' full_volume

healthy() { on "$1" -- bootstrap etcd health; }

# each_etcd SCRIPT: every member stops, its manifest is changed by this sed script, and it starts again.
each_etcd() {
	for node in "${three[@]}"; do
		etcd_down "$node"
		on "$node" -- sed -i "$1" /root/etcd.yaml
		etcd_up "$node"
		whole
	done
}

quota_used_up() {
	local i
	# A quota slightly above the used size.
	quota=$(on n1 -- bootstrap etcd health --output json | jq '[.members[].dbSize] | max + 6000000')
	each_etcd "s/^\( *\)- --snapshot-count=.*/&\n\1- --quota-backend-bytes=$quota/"
	head -c 700000 /dev/zero | tr '\0' x >"$log.big"
	i=0
	for _ in 1 2 3 4 5 6; do
		while [ "$i" -lt 60 ]; do
			i=$((i + 1))
			kn create configmap "big-$i" --from-file="$log.big" 2>"$log.said" || break
		done
		grep -q 'database space exceeded' "$log.said"
		# It is reported, and all writes are rejected.
		not healthy n1
		on n1 -- sh -c 'bootstrap etcd health || true' | matches NOSPACE
		not kn create configmap small
		# Old revisions are removed; when all of the data is in use, that is reported and writes stay rejected.
		on n1 -- bootstrap etcd defragment --compact --output json >"$log.said"
		jq -e .compacted "$log.said"
		if jq -e '.disarmed | not' "$log.said"; then break; fi
	done
	jq -e '.disarmed | not' "$log.said"
	rm "$log.big" "$log.said"
	not kn create configmap small
	# Recovery: delete data, free its space, accept writes again.
	kn get configmap -o name | grep /big- | xargs "$state/bin/kubectl" --kubeconfig "$state/admin.conf" -n "$ns" delete
	on n1 -- bootstrap etcd defragment --compact --output json | jq -e '.compacted and .disarmed'
	eventually healthy n1
	kn create configmap small
	each_etcd '/--quota-backend-bytes=/d'
	kn get configmap small
}
it "when etcd's quota is exceeded it is reported, and compaction and defragmentation allow writes again" quota_used_up

cut_snapshot() {
	on n1 -- bootstrap etcd snapshot /root/whole.db
	on n1 -- sh -c 'head -c 500000 /root/whole.db >/root/cut.db'
	not on n1 -- bootstrap etcd drill /root/cut.db
	not on n1 -- bootstrap etcd restore --yes /root/cut.db
	# Nothing else was changed.
	whole_but_drill() { api n1 get --raw /readyz && is 'n1 n2 n3' voters n1; }
	whole_but_drill
	on n1 -- bootstrap etcd drill /root/whole.db
	on n1 -- bootstrap status
	on n1 -- rm /root/whole.db /root/cut.db
}
it 'a truncated snapshot is rejected before anything is changed' cut_snapshot
