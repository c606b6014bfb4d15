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
	kn get pod "$mirror" -o 'jsonpath={.metadata.annotations}' | grep -q 'kubernetes.io/config.mirror'

	# A deleted mirror is made again; the pod itself does not notice.
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
