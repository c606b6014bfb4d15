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
