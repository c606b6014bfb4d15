# shellcheck shell=bash
# Pods of tenants that mean harm: the kubelet and the other pods of the node live on.

# kubelet_starts NODE: how often systemd has started its kubelet again, and its process.
kubelet_starts() { on "$1" -- systemctl show kubelet.service -p NRestarts -p MainPID; }

extreme_integers() {
	local node=${nodes[-1]} before
	local most=9223372036854775807
	before=$(kubelet_starts "$node")
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
	is "$before" kubelet_starts "$node"
	pod later "$node" pause
	is "$before" kubelet_starts "$node"
}
it 'pods with extreme integers cannot stop the kubelet' extreme_integers
