# shellcheck shell=bash
# Sets of static pods that are applied, checked and rolled back as a whole.
# shellcheck disable=SC2031,SC2154 # each test has a namespace of its own in $ns; run sets nodes and log

if [ "${KUBELET:-ours}" = ours ]; then

# in_set NODE SET NAME [IMAGE]: adds a pod to a set on the node.
in_set() {
	cat >"$log.manifest" <<-POD
		apiVersion: v1
		kind: Pod
		metadata: {name: $3, namespace: $ns}
		spec:
		  hostNetwork: true
		  terminationGracePeriodSeconds: 1
		  containers:
		  - name: main
		    image: ${4:-$busybox}
		    imagePullPolicy: IfNotPresent
		    command: [sh, -c, 'trap exit TERM; while :; do sleep 0.1; done']
	POD
	on "$1" -- mkdir -p "/root/$2" /etc/kubernetes/manifests
	cluster copy "$1" "$log.manifest" "/root/$2/set-$3.yaml"
	rm "$log.manifest"
}

# api_answers FILE: polls the API server until the file is gone, and fails if it does not answer once.
api_answers() {
	while [ -e "$1" ]; do
		k get --raw /readyz >/dev/null || return 1
		sleep 0.3
	done
}

set_is_switched_as_a_whole() {
	local node=${nodes[-1]} id watching
	in_set "$node" one first
	in_set "$node" one second
	in_set "$node" two first
	in_set "$node" two third 'registry.invalid/not/there:1'
	in_set "$node" three first
	on "$node" -- sh -c 'echo "kind: Pod" > /root/three/set-fourth.yaml'
	on "$node" -- bootstrap manifests check /root/one
	if on "$node" -- bootstrap manifests check /root/three; then return 1; fi

	on "$node" -- bootstrap manifests apply /root/one
	eventually kn get pod "first-$node" "second-$node"
	id=$(kn get pod "first-$node" -o 'jsonpath={.status.containerStatuses[0].containerID}')

	# A pod of the second set cannot become Ready: all of the first set is restored, and the control plane is not affected.
	touch "$log.asks"
	api_answers "$log.asks" &
	watching=$!
	if on "$node" -- bootstrap manifests apply /root/two --within 15 2>"$log.said"; then return 1; fi
	grep -q 'rolled back: static pod third is not Ready' "$log.said"
	rm "$log.said"
	on "$node" -- systemctl is-active static-pod@second
	is "$id" kn get pod "first-$node" -o 'jsonpath={.status.containerStatuses[0].containerID}'
	eventually eval '! kn get pod third-'"$node"
	(on "$node" -- bootstrap status --output json || true) | matches 'rolled back at'
	rm "$log.asks"
	wait $watching

	# A faulty set is rejected before anything changes.
	if on "$node" -- bootstrap manifests apply /root/three; then return 1; fi
	on "$node" -- systemctl is-active static-pod@second

	# Back to the previous set: there was none, and its pods are removed.
	on "$node" -- bootstrap manifests rollback
	eventually eval '! kn get pod first-'"$node"
	on "$node" -- rm -rf /root/one /root/two /root/three /var/lib/roost/manifest-sets
}
it 'a manifest set runs as a whole or is rolled back, while the control plane keeps answering' set_is_switched_as_a_whole

fi
