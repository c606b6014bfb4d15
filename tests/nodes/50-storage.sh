# shellcheck shell=bash
# Volumes of a storage driver. The driver is the tests' own (csi-driver.rs); it runs beside the kubelet, not in a pod.

calls() { on "$1" -- cat "/var/lib/test-csi-$ns/calls"; }
has_called() { calls "$1" | matches -xF "$2"; }

# driver NODE: builds the driver (or takes it from PROGRAMS), starts it on the node, and waits until the kubelet has
# registered it.
driver() {
	local folder=${PROFILE:-release}
	local program=${PROGRAMS:-$repo/target/${folder/#dev/debug}/examples}/csi-driver
	[ -n "${PROGRAMS:-}" ] || (cd "$repo" && cargo build --quiet --locked --example csi-driver --profile "$folder")
	cluster copy "$1" "$program" /var/lib/csi-driver
	on "$1" -- chmod +x /var/lib/csi-driver
	on "$1" -- systemctl stop csi-driver || true # of a previous failed test, like its recorded calls
	on "$1" -- rm -rf "/var/lib/test-csi-$ns"
	on "$1" -- systemd-run --quiet --collect --unit csi-driver /var/lib/csi-driver "$1" /var/lib/kubelet "/var/lib/test-csi-$ns"
	eventually has_called "$1" 'registered true '
	eventually is "id-of-$1" k get csinode "$1" -o 'jsonpath={.spec.drivers[?(@.name=="test.csi")].nodeID}'
}

# driver_gone NODE VOLUME: stops it, and removes its objects from the API.
driver_gone() {
	on "$1" -- systemctl stop csi-driver
	on "$1" -- rm -f /var/lib/kubelet/plugins_registry/test.csi.sock
	eventually is '' k get csinode "$1" -o 'jsonpath={.spec.drivers[?(@.name=="test.csi")].nodeID}'
	k delete csidriver test.csi
	k delete persistentvolume "$2" --wait=false
}

csi_driver_object() { # csi_driver_object ATTACH_REQUIRED
	k delete csidriver test.csi --ignore-not-found # of a previous failed test
	k apply -f - <<-DRIVER
		apiVersion: storage.k8s.io/v1
		kind: CSIDriver
		metadata: {name: test.csi}
		spec: {attachRequired: $1, podInfoOnMount: true, volumeLifecycleModes: [Persistent, Ephemeral]}
	DRIVER
}

claim() { # claim NAME [Block]: a claim that is bound to a volume of the driver
	k delete persistentvolume "$ns-$1" --ignore-not-found # of a previous failed test
	kn apply -f - <<-CLAIM
		apiVersion: v1
		kind: PersistentVolume
		metadata: {name: $ns-$1}
		spec:
		  capacity: {storage: 1Mi}
		  accessModes: [ReadWriteOnce]
		  persistentVolumeReclaimPolicy: Retain
		  storageClassName: ''
		  volumeMode: ${2:-Filesystem}
		  claimRef: {namespace: $ns, name: $1}
		  csi: {driver: test.csi, volumeHandle: $ns-$1}
		---
		apiVersion: v1
		kind: PersistentVolumeClaim
		metadata: {name: $1}
		spec:
		  accessModes: [ReadWriteOnce]
		  storageClassName: ''
		  volumeMode: ${2:-Filesystem}
		  volumeName: $ns-$1
		  resources: {requests: {storage: 1Mi}}
	CLAIM
}

writer() { # writer NAME NODE COMMAND VOLUME: a pod with the volume at /data
	kn apply -f - <<-POD
		apiVersion: v1
		kind: Pod
		metadata: {name: $1}
		spec:
		  nodeName: $2
		  restartPolicy: Never
		  terminationGracePeriodSeconds: 1
		  tolerations: [{operator: Exists}]
		  containers:
		  - name: main
		    image: $busybox
		    command: [sh, -c, '$3; trap exit TERM; while :; do sleep 0.1; done']
		    volumeMounts: [{name: data, mountPath: /data}]
		  volumes: [{name: data, $4}]
	POD
}

driver_volumes() {
	local node=${nodes[-1]}
	csi_driver_object false
	driver "$node"
	[ "$(k get node "$node" -o "jsonpath={.metadata.labels.topology\.test\.csi/node}")" = "$node" ]

	# Data that one pod has written is read by another; the volume is staged for the first and unstaged after the last.
	claim kept
	writer one "$node" 'echo hello > /data/word' 'persistentVolumeClaim: {claimName: kept}'
	ready pod/one
	writer two "$node" 'cat /data/word' 'persistentVolumeClaim: {claimName: kept}'
	ready pod/two
	eventually is hello kn logs two
	kn delete pod one
	on "$node" -- systemctl restart kubelet
	kn delete pod two
	eventually has_called "$node" "unstage $ns-kept"
	[ "$(calls "$node" | grep -c "^unpublish $ns-kept")" = 2 ]
	[ "$(calls "$node" | grep -c '^unstage')" = 1 ]

	# An inline volume gets information on its pod, and is removed with it.
	writer inline "$node" 'cat /data/pod' 'csi: {driver: test.csi}'
	ready pod/inline
	eventually is inline kn logs inline
	kn delete pod inline
	eventually has_called "$node" 'unpublish inline'
	is '' on "$node" -- sh -c 'grep kubernetes.io~csi /proc/self/mountinfo || true'
	driver_gone "$node" "$ns-kept"
}
it 'volumes of a storage driver are staged, published and released' driver_volumes

block_volumes() {
	local node=${nodes[-1]} left
	csi_driver_object false
	driver "$node"
	claim disk Block
	kn apply -f - <<-POD
		apiVersion: v1
		kind: Pod
		metadata: {name: disk}
		spec:
		  nodeName: $node
		  terminationGracePeriodSeconds: 1
		  tolerations: [{operator: Exists}]
		  containers:
		  - name: main
		    image: $busybox
		    command: [sh, -c, 'head -c 7 /dev/disk | wc -c; trap exit TERM; while :; do sleep 0.1; done']
		    volumeDevices: [{name: data, devicePath: /dev/disk}]
		  volumes: [{name: data, persistentVolumeClaim: {claimName: disk}}]
	POD
	ready pod/disk
	eventually is 7 kn logs disk
	on "$node" -- systemctl restart kubelet
	kn delete pod disk
	eventually has_called "$node" "unstage $ns-disk"
	has_called "$node" "unpublish $ns-disk"
	left=$(on "$node" -- find /var/lib/kubelet/plugins/kubernetes.io/csi/volumeDevices -name "*$ns*")
	[ -z "$left" ]
	is '' on "$node" -- sh -c 'grep volumeDevices /proc/self/mountinfo || true'
	driver_gone "$node" "$ns-disk"
}
it 'a block volume of a storage driver is a device of the container' block_volumes

growing_volumes() {
	local node=${nodes[-1]}
	csi_driver_object false
	driver "$node"
	claim grown
	writer one "$node" 'echo hello > /data/word' 'persistentVolumeClaim: {claimName: grown}'
	ready pod/one
	# The test acts as the controller that has enlarged the volume in the storage system.
	k patch persistentvolume "$ns-grown" --type=merge -p '{"spec":{"capacity":{"storage":"2Mi"}}}'
	kn patch pvc grown --subresource=status --type=merge -p '{"status":{
		"allocatedResourceStatuses":{"storage":"NodeResizePending"},
		"conditions":[{"type":"FileSystemResizePending","status":"True"}]}}'
	eventually is 2Mi kn get pvc grown -o 'jsonpath={.status.capacity.storage}'
	is '' kn get pvc grown -o 'jsonpath={.status.conditions}{.status.allocatedResourceStatuses}'
	has_called "$node" "expand $ns-grown 2097152 mounted=true"
	is 0 kn get pod one -o 'jsonpath={.status.containerStatuses[0].restartCount}'
	kn delete pod one
	eventually has_called "$node" "unstage $ns-grown"
	driver_gone "$node" "$ns-grown"
}
it 'a volume grows while a pod uses it' growing_volumes

attached_volumes() {
	local node=${nodes[-1]} attachment name
	csi_driver_object true
	driver "$node"
	claim attached
	writer one "$node" 'echo hello > /data/word' 'persistentVolumeClaim: {claimName: attached}'
	# The controller requests an attachment; the test acts as the attacher.
	attachments() { k get volumeattachment -o json | jq -r --arg pv "$ns-attached" '.items[] | select(.spec.source.persistentVolumeName == $pv) | .metadata.name'; }
	eventually eval '[ -n "$(attachments)" ]'
	attachment=$(attachments)
	sleep 2
	if has_called "$node" "publish $ns-attached"; then
		echo 'published before it was attached' >&2
		return 1
	fi
	k patch volumeattachment "$attachment" --subresource=status --type=merge \
		-p '{"status":{"attached":true,"attachmentMetadata":{"device":"sdx"}}}'
	ready pod/one
	has_called "$node" "stage $ns-attached sdx"
	name=kubernetes.io/csi/test.csi^$ns-attached
	in_use() { k get node "$node" -o json | jq -r '.status.volumesInUse // [] | .[]'; }
	eventually is "$name" in_use
	kn delete pod one
	eventually is '' in_use
	has_called "$node" "unstage $ns-attached"
	eventually eval '[ -n "$(k get volumeattachment "'"$attachment"'" -o "jsonpath={.metadata.deletionTimestamp}" --ignore-not-found)" ] || ! k get volumeattachment "'"$attachment"'"'
	driver_gone "$node" "$ns-attached"
}
it 'a volume that has to be attached waits for that, and is in use while it is mounted' attached_volumes
