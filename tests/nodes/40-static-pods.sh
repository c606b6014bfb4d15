# shellcheck shell=bash
# Static pods: manifests in a folder, mirrored to the API.

manifest() { # manifest NODE WORD
	cat >"$log.manifest" <<-POD
		apiVersion: v1
		kind: Pod
		metadata: {name: dropped, namespace: $ns}
		spec:
		  hostNetwork: true
		  terminationGracePeriodSeconds: 1
		  containers: [{name: main, image: $busybox, command: [sh, -c, 'echo $2; trap exit TERM; while :; do sleep 0.1; done']}]
	POD
	cluster copy "$1" "$log.manifest" "/etc/kubernetes/manifests/.$ns.new"
	on "$1" -- mv "/etc/kubernetes/manifests/.$ns.new" "/etc/kubernetes/manifests/$ns.yaml"
	rm "$log.manifest"
}

static_pod_follows_its_manifest() {
	local node=${nodes[-1]} mirror=dropped-${nodes[-1]}
	on "$node" -- mkdir -p /etc/kubernetes/manifests
	manifest "$node" one
	eventually is one kn logs "$mirror"
	kn get pod "$mirror" -o 'jsonpath={.metadata.annotations}' | matches 'kubernetes.io/config.mirror'

	# A deleted mirror is recreated; the pod itself is not affected.
	local id uid
	id=$(kn get pod "$mirror" -o 'jsonpath={.status.containerStatuses[0].containerID}')
	uid=$(kn get pod "$mirror" -o 'jsonpath={.metadata.uid}')
	kn delete pod "$mirror" --wait=false
	eventually eval '[ "$(kn get pod '"$mirror"' -o "jsonpath={.metadata.uid}")" != '"$uid"' ]'
	eventually is "$id" kn get pod "$mirror" -o 'jsonpath={.status.containerStatuses[0].containerID}'

	manifest "$node" two
	eventually is two kn logs "$mirror"

	on "$node" -- rm "/etc/kubernetes/manifests/$ns.yaml"
	eventually eval '! kn get pod '"$mirror"
	eventually eval '! on '"$node"' -- sh -c "ctr -n k8s.io containers ls | grep -q $(basename "$id" | tr -d /)"'
}
it 'a static pod follows its manifest, and its mirror follows the pod' static_pod_follows_its_manifest

# slow NODE: a static pod that becomes ready only after a while.
slow() {
	cat >"$log.manifest" <<-POD
		apiVersion: v1
		kind: Pod
		metadata: {name: slow, namespace: $ns}
		spec:
		  hostNetwork: true
		  terminationGracePeriodSeconds: 1
		  containers:
		  - name: main
		    image: $busybox
		    command: [sh, -c, 'trap exit TERM; while :; do sleep 0.1; done']
		    readinessProbe: {exec: {command: [sleep, '4']}, timeoutSeconds: 10, periodSeconds: 5}
	POD
	cluster copy "$1" "$log.manifest" "/etc/kubernetes/manifests/$ns-slow.yaml"
	rm "$log.manifest"
}

static_pod_stays_ready() {
	local node=${nodes[-1]} since
	on "$node" -- mkdir -p /etc/kubernetes/manifests
	slow "$node"
	eventually kn get pod "slow-$node"
	ready "pod/slow-$node"
	since() { kn get pod "slow-$node" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].lastTransitionTime}{.status.startTime}'; }
	since=$(since)
	sleep 1.1 # times have whole seconds
	on "$node" -- systemctl restart kubelet
	beats "$node"
	sleep 6 # the probe has answered since
	ready "pod/slow-$node"
	[ "$(since)" = "$since" ]
	on "$node" -- rm "/etc/kubernetes/manifests/$ns-slow.yaml"
}
it 'a static pod stays ready over a restart of the kubelet' static_pod_stays_ready

faulty_manifest_is_told() {
	local node=${nodes[-1]} mirror=dropped-${nodes[-1]} id
	on "$node" -- mkdir -p /etc/kubernetes/manifests
	manifest "$node" one
	eventually is one kn logs "$mirror"
	id=$(kn get pod "$mirror" -o 'jsonpath={.status.containerStatuses[0].containerID}')
	on "$node" -- sed -i 's/name: main/nam: main/' "/etc/kubernetes/manifests/$ns.yaml"
	told() { k get events --field-selector reason=FaultyManifest -o json | jq -e --arg file "$ns.yaml" '.items[] | select(.message | contains($file))'; }
	eventually told
	on "$node" -- journalctl -u kubelet | grep "$ns.yaml is invalid"
	if [ "${BOOTSTRAP:-ours}" = ours ]; then
		{ on "$node" -- bootstrap status || true; } | grep "problem: manifest /etc/kubernetes/manifests/$ns.yaml is invalid: line"
	fi
	[ "$(kn get pod "$mirror" -o 'jsonpath={.status.containerStatuses[0].containerID}')" = "$id" ]
	on "$node" -- rm "/etc/kubernetes/manifests/$ns.yaml"
}
[ "${KUBELET:-ours}" != ours ] || it 'a faulty manifest is told by an event, in the journal and in the status, and its pod runs on' faulty_manifest_is_told
