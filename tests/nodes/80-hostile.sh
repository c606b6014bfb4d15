# shellcheck shell=bash
# Hostile pods: the node stays Ready and the kubelet keeps running as the same process.

# kubelet_of NODE: number of restarts and main process of its kubelet.
kubelet_of() { on "$1" -- systemctl show kubelet.service -p NRestarts,MainPID --value | tr '\n' ' '; }

# unharmed NODE BEFORE: the same kubelet process still runs and answers.
unharmed() {
	node_ready "$1"
	[ "$(kubelet_of "$1")" = "$2" ]
	[ "$(k get --raw "/api/v1/nodes/$1/proxy/healthz")" = ok ]
}

pull_secrets_of_many_stars_cost_nothing() {
	local node=${nodes[-1]} before config label
	before=$(kubelet_of "$node")
	label=$(printf 'a%.0s' {1..63})
	config=$(printf '{"auths":{"%sb.%s.example.com":{"username":"u","password":"p"}}}' "$(printf '*a%.0s' {1..12})" "$label")
	kn create secret generic stars --type=kubernetes.io/dockerconfigjson --from-literal=.dockerconfigjson="$config"
	kn apply -f - <<-POD
		apiVersion: v1
		kind: Pod
		metadata: {name: stars}
		spec:
		  nodeName: $node
		  imagePullSecrets: [{name: stars}]
		  containers: [{name: main, image: "$label.$label.example.com/none:1"}]
	POD
	eventually eval 'kn get pod stars -o "jsonpath={.status.containerStatuses[0].state.waiting.reason}" | matches -E "ErrImagePull|ImagePullBackOff"'
	unharmed "$node" "$before"
}
it 'a pull secret of many stars against a long registry name costs nothing' pull_secrets_of_many_stars_cost_nothing

environments_that_double_are_refused() {
	local node=${nodes[-1]} before step
	before=$(kubelet_of "$node")
	{
		cat <<-POD
			apiVersion: v1
			kind: Pod
			metadata: {name: doubling}
			spec:
			  nodeName: $node
			  containers:
			  - name: main
			    image: $busybox
			    command: [sleep, '3600']
			    env:
			    - {name: V0, value: xxxxxxxx}
		POD
		for step in {1..60}; do
			# shellcheck disable=SC2016 # for the kubelet to expand
			printf '    - {name: V%d, value: "$(V%d)$(V%d)"}\n' "$step" $((step - 1)) $((step - 1))
		done
	} | kn apply -f -
	eventually is CreateContainerConfigError kn get pod doubling -o 'jsonpath={.status.containerStatuses[0].state.waiting.reason}'
	kn get pod doubling -o 'jsonpath={.status.containerStatuses[0].state.waiting.message}' | matches 'V15 is longer than 131072 bytes'
	unharmed "$node" "$before"
}
it 'an environment whose values double at each step is rejected with a reason' environments_that_double_are_refused

pods_of_thousands_of_containers_are_refused() {
	local node=${nodes[-1]} before number
	before=$(kubelet_of "$node")
	{
		printf 'apiVersion: v1\nkind: Pod\nmetadata: {name: crowd}\nspec:\n  nodeName: %s\n  containers:\n' "$node"
		for number in {1..1500}; do
			printf '  - {name: c%d, image: "%s", command: [sleep, "3600"]}\n' "$number" "$busybox"
		done
	} | kn create -f -
	eventually is TooManyContainers kn get pod crowd -o 'jsonpath={.status.reason}'
	unharmed "$node" "$before"
}
it 'a pod of more than a thousand containers is rejected' pods_of_thousands_of_containers_are_refused

extreme_integers() {
	local node=${nodes[-1]} before
	local most=9223372036854775807
	before=$(kubelet_of "$node")
	# The API server accepts each of these numbers.
	kn apply -f - <<-PODS
		apiVersion: v1
		kind: Pod
		metadata: {name: grace, labels: {app: hostile}}
		spec:
		  nodeName: $node
		  ${own_users:+hostUsers: false}
		  terminationGracePeriodSeconds: $most
		  tolerations: [{operator: Exists, tolerationSeconds: $most, effect: NoExecute}]
		  containers: [{name: main, image: $agnhost, args: [pause]}]
		---
		apiVersion: v1
		kind: Pod
		metadata: {name: hook, labels: {app: hostile}}
		spec:
		  nodeName: $node
		  ${own_users:+hostUsers: false}
		  terminationGracePeriodSeconds: $most
		  tolerations: [{operator: Exists}]
		  containers:
		  - name: main
		    image: $agnhost
		    args: [pause]
		    lifecycle: {preStop: {sleep: {seconds: $most}}}
		---
		apiVersion: v1
		kind: Pod
		metadata: {name: probe, labels: {app: hostile}}
		spec:
		  nodeName: $node
		  ${own_users:+hostUsers: false}
		  activeDeadlineSeconds: 2147483647
		  terminationGracePeriodSeconds: 5
		  tolerations: [{operator: Exists}]
		  containers:
		  - name: main
		    image: $agnhost
		    args: [pause]
		    livenessProbe:
		      {exec: {command: [/agnhost, nonsense]}, periodSeconds: 1, failureThreshold: 1, timeoutSeconds: 2147483647, terminationGracePeriodSeconds: $most}
		  - name: other
		    image: $agnhost
		    args: [pause]
		    readinessProbe:
		      {exec: {command: [/agnhost, --version]}, initialDelaySeconds: 2147483647, periodSeconds: 2147483647, timeoutSeconds: 2147483647, failureThreshold: 2147483647}
		---
		apiVersion: v1
		kind: Pod
		metadata: {name: sizes, labels: {app: hostile}}
		spec:
		  nodeName: $node
		  ${own_users:+hostUsers: false}
		  terminationGracePeriodSeconds: 5
		  tolerations: [{operator: Exists}]
		  volumes: [{name: much, emptyDir: {sizeLimit: 1e308}}]
		  containers:
		  - name: main
		    image: $agnhost
		    args: [pause]
		    resources: {limits: {memory: 7Ei, ephemeral-storage: 1e308}, requests: {cpu: 1n, memory: "1", ephemeral-storage: "1"}}
		    volumeMounts: [{name: much, mountPath: /much}]
	PODS
	eventually ready pod/grace pod/hook
	eventually eval '[ "$(kn get pod probe -o "jsonpath={.status.containerStatuses[?(@.name==\"main\")].restartCount}")" -ge 1 ]'
	# One program runs at its own pace; the other sleeps until it is told to hurry.
	kn delete pod grace --wait=false
	kn delete pod hook --wait=false --grace-period=$most
	eventually not kn get pod grace
	kn get pod hook
	kn delete pod hook --wait=false --grace-period=2
	kn delete pod probe sizes --wait=false --grace-period=2
	eventually not kn get pod hook
	eventually eval '[ -z "$(kn get pods -l app=hostile -o name)" ]'
	is "$before" kubelet_of "$node"
	pod later "$node" pause
	is "$before" kubelet_of "$node"
}
it 'pods with extreme integers cannot stop the kubelet' extreme_integers

# In its own user namespace a pod's root may do more: none of it may reach the kubelet.
extreme_integers_of_other_users() { own_users=1 extreme_integers; }
it 'pods with extreme integers and their own user namespaces cannot stop the kubelet' extreme_integers_of_other_users

pod_folder() { kn get pod "$1" -o 'jsonpath=/var/lib/kubelet/pods/{.metadata.uid}'; }

# digger NAME NODE [LIMIT]: a pod of an ordinary user that creates 8000 nested folders, with 20 MiB in the deepest, each
# step with short paths.
digger() {
	kn apply -f - <<-POD
		apiVersion: v1
		kind: Pod
		metadata: {name: $1}
		spec:
		  nodeName: $2
		  ${own_users:+hostUsers: false}
		  restartPolicy: Never
		  terminationGracePeriodSeconds: 1
		  tolerations: [{operator: Exists}]
		  securityContext: {runAsUser: 1000, runAsGroup: 1000, runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
		  volumes: [{name: dug, emptyDir: {${3:+sizeLimit: $3}}}]
		  containers:
		  - name: main
		    image: $busybox
		    securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
		    volumeMounts: [{name: dug, mountPath: /dug}]
		    workingDir: /dug
		    command:
		    - sh
		    - -ec
		    - |
		      p=\$(printf 'd/%.0s' \$(seq 1000))
		      mkdir -p base/\$p
		      dd if=/dev/zero of=base/\${p}big bs=1M count=20
		      for i in 2 3 4 5 6 7 8; do mkdir -p next/\$p; mv base next/\$p; mv next base; done
		      touch dug
		      exec sleep 3600
	POD
}

deep_folders_go_with_their_pod() {
	local node=${nodes[-1]} before folder
	before=$(kubelet_of "$node")
	digger deep "$node"
	eventually kn exec deep -- test -e dug
	[ -z "${own_users:-}" ] || not kn exec deep -- grep -qw 4294967295 /proc/self/uid_map
	folder=$(pod_folder deep)
	[ "$(on "$node" -- find "$folder/volumes" -type d -name d | wc -l)" -ge 8000 ]
	kn delete pod deep --wait=false
	eventually not kn get pod deep
	eventually not on "$node" -- test -e "$folder"
	is "$before" kubelet_of "$node"
	pod after-it "$node" pause
}
it 'thousands of nested folders are removed with their pod, and the kubelet keeps running' deep_folders_go_with_their_pod

deep_folders_of_other_users() { own_users=1 deep_folders_go_with_their_pod; }
it 'thousands of folders of a pod with its own user namespace are removed too' deep_folders_of_other_users

a_deep_file_counts() {
	local node=${nodes[-1]} before
	before=$(kubelet_of "$node")
	digger hidden "$node" 10Mi
	eventually is Evicted kn get pod hidden -o 'jsonpath={.status.reason}'
	kn get pod hidden -o 'jsonpath={.status.message}' | grep 'Usage of EmptyDir volume "dug" exceeds the limit "10Mi"'
	is "$before" kubelet_of "$node"
}
it 'a file below the longest path counts against the limit of an emptyDir' a_deep_file_counts

# begin_again NODE: joins a node that was reset to the cluster again.
begin_again() {
	local join
	if [ "$1" = "${nodes[0]}" ]; then
		on "$1" -- bootstrap init --config /etc/roost/cluster.toml
		on "$1" -- cat /etc/kubernetes/admin.conf >"$state/admin.conf"
		k create namespace "$ns"
	else
		k delete node "$1" --ignore-not-found
		join=$(cluster join-command "$1")
		# shellcheck disable=SC2086 # a command line
		on "$1" -- $join
	fi
	eventually is True k get node "$1" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}'
	eventually kn get serviceaccount default
}

# precious NODE: everything that belongs to the users still exists.
precious() {
	is 'precious' on "$1" -- cat /srv/precious/file
	on "$1" -- test -f /srv/precious/empty
	on "$1" -- test -d /srv/precious/folder/inner
	on "$1" -- test -L /srv/precious/link
}

# mounter NAME NODE: a pod with a local volume and a hostPath, both on the file system of the kubelet's folder.
mounter() {
	k delete persistentvolume "$ns-$1" --ignore-not-found # of a previous failed test
	kn apply -f - <<-POD
		apiVersion: v1
		kind: PersistentVolume
		metadata: {name: $ns-$1}
		spec:
		  capacity: {storage: 1Mi}
		  accessModes: [ReadWriteOnce]
		  persistentVolumeReclaimPolicy: Retain
		  storageClassName: ''
		  claimRef: {namespace: $ns, name: $1}
		  local: {path: /srv/precious}
		  nodeAffinity:
		    required:
		      nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [$2]}]}]
		---
		apiVersion: v1
		kind: PersistentVolumeClaim
		metadata: {name: $1}
		spec: {accessModes: [ReadWriteOnce], storageClassName: '', volumeName: $ns-$1, resources: {requests: {storage: 1Mi}}}
		---
		apiVersion: v1
		kind: Pod
		metadata: {name: $1}
		spec:
		  nodeSelector: {kubernetes.io/hostname: $2}
		  terminationGracePeriodSeconds: 1
		  tolerations: [{operator: Exists}]
		  volumes:
		  - {name: local, persistentVolumeClaim: {claimName: $1}}
		  - {name: host, hostPath: {path: /srv/precious}}
		  containers:
		  - name: main
		    image: $busybox
		    command: [sleep, '3600']
		    volumeMounts:
		    - {name: local, mountPath: /local}
		    - {name: local, mountPath: /inner, subPath: folder}
		    - {name: host, mountPath: /empty, subPath: empty}
	POD
	ready "pod/$1"
}

a_root_behind_a_link() {
	local node=${nodes[-1]} folder
	on "$node" -- bootstrap reset --yes
	on "$node" -- sh -ec 'mkdir -p /srv/kubelet /srv/precious/folder/inner
		rm -rf /srv/precious/link
		echo precious >/srv/precious/file
		: >/srv/precious/empty
		ln -s /nowhere /srv/precious/link
		umount /var/lib/kubelet 2>/dev/null || true
		rmdir /var/lib/kubelet && ln -s ../../srv/kubelet /var/lib/kubelet'
	begin_again "$node"
	# Termination of a pod.
	mounter first "$node"
	folder=$(pod_folder first)
	on "$node" -- grep -q ' /srv/kubelet/pods/.*local-volume' /proc/self/mountinfo
	kn delete pod first --wait=false
	eventually not kn get pod first
	eventually not on "$node" -- test -e "$folder"
	precious "$node"
	# Reset of the node, with a pod on it; and a mount that is not unmounted before.
	mounter second "$node"
	on "$node" -- sh -ec 'mkdir -p /srv/kubelet/plugins/left/globalmount && mount --bind /srv/precious /srv/kubelet/plugins/left/globalmount'
	on "$node" -- bootstrap reset --yes
	precious "$node"
	is '' on "$node" -- find /srv/kubelet -mindepth 1
	on "$node" -- test -L /var/lib/kubelet
	not on "$node" -- grep -q ' /srv/kubelet/' /proc/self/mountinfo
	# As before.
	on "$node" -- sh -ec 'rm /var/lib/kubelet; mkdir -m 750 /var/lib/kubelet; umount /srv/kubelet 2>/dev/null || true; rmdir /srv/kubelet'
	begin_again "$node"
	k delete persistentvolume "$ns-first" "$ns-second" --ignore-not-found --wait=false
	on "$node" -- rm -rf /srv/precious
}
[ "${BOOTSTRAP:-ours}" != ours ] || it "the kubelet's folder may be behind a link, and the end of pods and of the node spares what is mounted in it" a_root_behind_a_link
