# shellcheck shell=bash
# Pods that mean harm: the node stays Ready and the kubelet is the same process as before.

# kubelet_of NODE: number of restarts and main process of its kubelet.
kubelet_of() { on "$1" -- systemctl show kubelet.service -p NRestarts,MainPID --value | tr '\n' ' '; }

node_is_ready() { # node_is_ready NODE
	[ "$(k get node "$1" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')" = True ]
}

# unharmed NODE BEFORE: the kubelet that ran before runs still and answers.
unharmed() {
	node_is_ready "$1"
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
	eventually eval 'kn get pod stars -o "jsonpath={.status.containerStatuses[0].state.waiting.reason}" | grep -Eq "ErrImagePull|ImagePullBackOff"'
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
	kn get pod doubling -o 'jsonpath={.status.containerStatuses[0].state.waiting.message}' | grep -q 'V15 is longer than 131072 bytes'
	unharmed "$node" "$before"
}
it 'an environment whose values double at each step is refused with a sentence' environments_that_double_are_refused

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
it 'a pod of more than a thousand containers is refused' pods_of_thousands_of_containers_are_refused

extreme_integers() {
	local node=${nodes[-1]} before
	local most=9223372036854775807
	before=$(kubelet_of "$node")
	# Each number is one that the API server takes.
	kn apply -f - <<-PODS
		apiVersion: v1
		kind: Pod
		metadata: {name: grace, labels: {app: hostile}}
		spec:
		  nodeName: $node
		  terminationGracePeriodSeconds: $most
		  tolerations: [{operator: Exists, tolerationSeconds: $most, effect: NoExecute}]
		  containers: [{name: main, image: $agnhost, args: [pause]}]
		---
		apiVersion: v1
		kind: Pod
		metadata: {name: hook, labels: {app: hostile}}
		spec:
		  nodeName: $node
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
	# One goes at its own pace, which its program does not need; the other sleeps until it is told to hurry.
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
