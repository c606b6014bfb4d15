# shellcheck shell=bash
# The restore drill: a good snapshot, faulty ones, and the state of the node afterwards.

snapshots=/var/lib/roost/snapshots

# no_drill: nothing of a drill is left on the node.
no_drill() {
	[ -z "$(first sh -c 'ls -d /etc/kubernetes/manifests/etcd-drill* 2>/dev/null || true')" ]
	[ -z "$(first sh -c 'ls -d /var/lib/kubelet/pods/*/volumes/kubernetes.io~empty-dir/data/data 2>/dev/null || true')" ]
	[ -z "$(first sh -c "crictl ps 2>/dev/null | grep drill; pgrep -af '[n]ame=drill' || true")" ]
}

a_good_snapshot_is_found_good() {
	first systemctl is-enabled roost-drill.timer
	first systemctl start roost-snapshot.service
	first systemctl start roost-drill.service
	first bootstrap status --output json >"$log.status"
	jq -e '.drill.fault == null and .drill.contents.keys > 100 and .drill.contents.revision > 100' "$log.status"
	first bootstrap etcd drill --output json >"$log.drill"
	jq .drill "$log.status"
	# The snapshot is unchanged to the last byte.
	[ "$(jq -c '.contents | [.keys, .revision, .hash]' "$log.drill")" = "$(jq -c '.drill.contents | [.keys, .revision, .hash]' "$log.status")" ]
	rm "$log.status" "$log.drill"
	first bootstrap status | matches 'restore drill at .*: passed'
	eventually no_drill
	first bootstrap etcd health
	eventually eval '! k -n kube-system get pods -o name | grep drill'
}
[ "${BOOTSTRAP:-ours}" != ours ] || it 'a drill restores the newest snapshot and leaves nothing' a_good_snapshot_is_found_good

a_bad_snapshot_is_told() {
	first bootstrap etcd snapshot
	# A truncated snapshot.
	first sh -euc "cd $snapshots; head -c 300000 \$(ls etcd-*Z.db | tail -n 1) >etcd-\$(hostname)-20990101T000000Z.db"
	first sh -c 'bootstrap etcd drill --output json || true' | jq -e '.contents == null and (.fault | test("20990101.*not a complete etcd snapshot"))'
	not first bootstrap etcd drill
	not first systemctl start roost-drill.service
	first sh -c 'bootstrap status || true' | matches 'problem: the restore drill at .* not a complete etcd snapshot'
	# One with a valid checksum, but no database inside.
	first sh -euc "cd $snapshots; head -c 1048576 /dev/urandom >noise; openssl dgst -sha256 -binary noise >sum
		cat noise sum >etcd-\$(hostname)-20990101T000000Z.db; rm noise sum"
	not first bootstrap etcd drill
	first sh -c 'bootstrap status || true' | grep 'restore exited with code'
	eventually no_drill
	first sh -c "rm $snapshots/etcd-*-20990101T000000Z.db"
	# A drill that is killed leaves nothing to the next one.
	first sh -c 'bootstrap etcd drill & sleep 2; kill -9 $!; wait $! || true'
	first bootstrap etcd drill
	eventually no_drill
	first bootstrap status
}
[ "${BOOTSTRAP:-ours}" != ours ] || it 'a drill on a snapshot that was cut short, or is none, fails and says so' a_bad_snapshot_is_told
