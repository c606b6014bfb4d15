# shellcheck shell=bash
# What a cluster is for: workloads that run, answer, scale, are updated and finish.

service_answers_by_name_from_the_other_node() {
	deployment web 3 "${nodes[-1]}"
	pod client "${nodes[0]}" pause
	local seen
	eventually kn exec client -- curl -sfm 3 "http://web.$ns.svc.cluster.local/hostname"
	seen=$(for _ in $(seq 30); do kn exec client -- curl -sfm 5 http://web/hostname && echo; done | sort -u)
	[ "$(wc -l <<<"$seen")" = 3 ]
	[ "$seen" = "$(kn get pods -l app=web -o name | cut -d/ -f2 | sort)" ]
}
it 'a Deployment of three answers by its Service name from a pod on the other node' service_answers_by_name_from_the_other_node

service_answers_on_its_own_node() {
	deployment web 1 "${nodes[-1]}"
	pod client "${nodes[-1]}" pause
	eventually kn exec client -- curl -sfm 3 http://web/hostname
	# ... and to itself, through its own Service.
	eventually kn exec deploy/web -- curl -sfm 3 http://web/hostname
}
it 'a Service answers pods of its own node, and the pod behind it' service_answers_on_its_own_node

node_port_answers_on_every_node() {
	deployment web 2 "${nodes[-1]}"
	kn patch service web -p '{"spec": {"type": "NodePort"}}'
	local port node
	port=$(kn get service web -o 'jsonpath={.spec.ports[0].nodePort}')
	for node in "${nodes[@]}"; do eventually curl -sfm 3 "http://$(cluster ip "$node"):$port/hostname"; done
}
it 'a NodePort answers on every node' node_port_answers_on_every_node

endpoint_count() { kn get endpointslices -l kubernetes.io/service-name=web -o json | jq '[.items[].endpoints[]? | select(.conditions.ready)] | length'; }

deployment_scales() {
	deployment web 1 "${nodes[-1]}"
	kn scale deployment/web --replicas=5
	rolled_out deployment/web
	eventually is 5 endpoint_count
	kn scale deployment/web --replicas=1
	eventually is 1 endpoint_count
	eventually is 1 eval 'kn get pods -l app=web -o name | wc -l'
}
it 'a Deployment scales up and down, and its endpoints follow' deployment_scales

daemon_set_runs_on_every_node() {
	kn apply -f - <<-SET
		apiVersion: apps/v1
		kind: DaemonSet
		metadata: {name: every}
		spec:
		  selector: {matchLabels: {app: every}}
		  template:
		    metadata: {labels: {app: every}}
		    spec:
		      tolerations: [{operator: Exists}]
		      terminationGracePeriodSeconds: 1
		      containers: [{name: main, image: $agnhost, args: [pause]}]
	SET
	rolled_out daemonset/every
	[ "$(kn get pods -l app=every -o 'jsonpath={range .items[*]}{.spec.nodeName}{"\n"}{end}' | sort)" = "$(printf '%s\n' "${nodes[@]}" | sort)" ]
}
it 'a DaemonSet runs on every node' daemon_set_runs_on_every_node

job_completes() {
	kn apply -f - <<-JOB
		apiVersion: batch/v1
		kind: Job
		metadata: {name: sum}
		spec:
		  completions: 4
		  parallelism: 2
		  template:
		    spec:
		      restartPolicy: Never
		      containers: [{name: main, image: $busybox, command: [sh, -c, 'echo \$((6 * 7))']}]
	JOB
	kn wait --for=condition=complete --timeout=180s job/sum
	[ "$(kn logs job/sum)" = 42 ]
	[ "$(kn get pods -l job-name=sum -o 'jsonpath={range .items[*]}{.status.phase}{"\n"}{end}' | sort | uniq -c | tr -s ' ')" = ' 4 Succeeded' ]
}
it 'a Job completes, and its pods are Succeeded' job_completes

failing_job_is_retried_and_given_up() {
	kn create job bad --image="$busybox" -- sh -c 'exit 3'
	kn patch job bad -p '{"spec": {"backoffLimit": 1}}'
	kn wait --for=condition=failed --timeout=180s job/bad
	[ "$(kn get pods -l job-name=bad -o 'jsonpath={.items[0].status.containerStatuses[0].state.terminated.exitCode}')" = 3 ]
}
it 'a Job whose pods fail is marked as failed, and the exit code is kept' failing_job_is_retried_and_given_up

rolling_update_replaces_every_pod() {
	deployment web 3 "${nodes[-1]}"
	pod client "${nodes[0]}" pause
	local before after
	before=$(kn get pods -l app=web -o name | sort)
	kn set env deployment/web ROUND=two
	rolled_out deployment/web
	eventually is 3 eval 'kn get pods -l app=web -o name | wc -l'
	after=$(kn get pods -l app=web -o name | sort)
	[ -z "$(comm -12 <(echo "$before") <(echo "$after"))" ]
	[ "$(kn exec deploy/web -- sh -c 'echo $ROUND')" = two ]
	eventually kn exec client -- curl -sfm 3 http://web/hostname
	kn rollout undo deployment/web
	rolled_out deployment/web
}
it 'a rolling update replaces every pod, and can be undone' rolling_update_replaces_every_pod

config_reaches_the_container() {
	kn create configmap settings --from-literal=color=green
	kn create secret generic keys --from-literal=token=opensesame
	kn apply -f - <<-POD
		apiVersion: v1
		kind: Pod
		metadata: {name: reader, labels: {tier: test}}
		spec:
		  restartPolicy: Never
		  containers:
		  - name: main
		    image: $busybox
		    command: [sh, -c, 'echo \$COLOR \$(cat /keys/token) \$WHO \$(cat /labels/labels); test -s /var/run/secrets/kubernetes.io/serviceaccount/token && echo token']
		    env:
		    - {name: COLOR, valueFrom: {configMapKeyRef: {name: settings, key: color}}}
		    - {name: WHO, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
		    volumeMounts: [{name: keys, mountPath: /keys}, {name: labels, mountPath: /labels}]
		  volumes:
		  - {name: keys, secret: {secretName: keys}}
		  - {name: labels, downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}
	POD
	kn wait --for=jsonpath='{.status.phase}'=Succeeded --timeout=180s pod/reader
	[ "$(kn logs reader)" = 'green opensesame reader tier="test"
token' ]
}
it 'ConfigMaps, Secrets, the downward API and the account token reach a container' config_reaches_the_container

stages_of_a_pod_go_in_order() {
	kn apply -f - <<-POD
		apiVersion: v1
		kind: Pod
		metadata: {name: staged}
		spec:
		  restartPolicy: Never
		  tolerations: [{operator: Exists}]
		  initContainers:
		  - {name: first, image: $busybox, command: [sh, -c, 'echo first >> /shared/order'], volumeMounts: [{name: shared, mountPath: /shared}]}
		  - name: side
		    image: $busybox
		    restartPolicy: Always
		    command: [sh, -c, 'echo side >> /shared/order; trap exit TERM; while :; do sleep 0.1; done']
		    volumeMounts: [{name: shared, mountPath: /shared}]
		    startupProbe: {exec: {command: [grep, -q, side, /shared/order]}, periodSeconds: 1}
		  - {name: second, image: $busybox, command: [sh, -c, 'echo second >> /shared/order'], volumeMounts: [{name: shared, mountPath: /shared}]}
		  containers:
		  - name: main
		    image: $busybox
		    command: [sh, -c, 'tr "\\n" " " < /shared/order > /dev/termination-log']
		    volumeMounts: [{name: shared, mountPath: /shared}]
		  volumes: [{name: shared, emptyDir: {}}]
	POD
	eventually is Succeeded kn get pod staged -o 'jsonpath={.status.phase}'
	[ "$(kn get pod staged -o 'jsonpath={.status.containerStatuses[0].state.terminated.message}')" = 'first side second ' ]
}
it 'init containers and sidecars start in their order, and a pod that is done has succeeded' stages_of_a_pod_go_in_order

resize_in_place() {
	kn apply -f - <<-POD
		apiVersion: v1
		kind: Pod
		metadata: {name: sized}
		spec:
		  nodeName: ${nodes[-1]}
		  terminationGracePeriodSeconds: 1
		  tolerations: [{operator: Exists}]
		  resources: {requests: {cpu: 50m, memory: 40Mi}, limits: {cpu: 80m, memory: 64Mi}}
		  initContainers:
		  - {name: side, restartPolicy: Always, image: $agnhost, args: [pause], resources: {requests: {cpu: 20m, memory: 16Mi}, limits: {cpu: 40m, memory: 24Mi}}}
		  containers:
		  - {name: main, image: $agnhost, args: [pause], resources: {requests: {cpu: 20m, memory: 16Mi}, limits: {cpu: 40m, memory: 24Mi}}}
	POD
	ready pod/sized
	# Microseconds of each 100 ms, in either version of cgroups.
	quota() {
		# shellcheck disable=SC2016 # for the shell in the node
		on "${nodes[-1]}" -- sh -c 'cd "$(find /sys/fs/cgroup/cpu /sys/fs/cgroup -type d -name "*$0*" 2>/dev/null | head -n1)" &&
			{ cat cpu.cfs_quota_us 2>/dev/null || cut -d" " -f1 cpu.max; }' "$1"
	}
	id() { kn get pod sized -o "jsonpath={.status.$1[0].containerID}" | sed 's#.*//##'; }
	local uid side main
	uid=$(kn get pod sized -o 'jsonpath={.metadata.uid}') side=$(id initContainerStatuses) main=$(id containerStatuses)
	kn patch pod sized --subresource resize -p '{"spec":{"initContainers":[{"name":"side","resources":{"limits":{"cpu":"50m"}}}]}}'
	eventually is 5000 quota "$side"
	kn patch pod sized --subresource resize -p '{"spec":{"resources":{"limits":{"cpu":"120m"}}}}'
	eventually is 12000 quota "pod${uid//-/_}"
	eventually is 120m kn get pod sized -o 'jsonpath={.status.resources.limits.cpu}'
	eventually is 50m kn get pod sized -o 'jsonpath={.status.initContainerStatuses[0].resources.limits.cpu}'
	# Fractions of a percent, which systemd rounds up: the pod's quota must not be below its container's.
	kn patch pod sized --subresource resize -p '{"spec":{"resources":{"limits":{"cpu":"56m"}},"initContainers":[{"name":"side","resources":{"limits":{"cpu":"55m"}}}]}}'
	eventually is 55m kn get pod sized -o 'jsonpath={.status.initContainerStatuses[0].resources.limits.cpu}'
	eventually is '' kn get pod sized -o 'jsonpath={.status.conditions[?(@.type=="PodResizeInProgress")].type}'
	[ "$side $main" = "$(id initContainerStatuses) $(id containerStatuses)" ] # nothing was restarted
}
it 'sidecars and whole pods are resized in place' resize_in_place

a_pod_runs_a_program_of_the_node() {
	host_pod() {
		kn apply -f - <<-POD
			apiVersion: v1
			kind: Pod
			metadata: {name: $1}
			spec:
			  nodeName: ${nodes[-1]}
			  restartPolicy: Never
			  containers: [{name: main, image: "host:$2", args: [version, --client]}]
		POD
	}
	host_pod allowed /usr/local/bin/kubectl
	host_pod other /usr/bin/env
	eventually is Succeeded kn get pod allowed -o 'jsonpath={.status.phase}'
	kn logs allowed | grep 'Client Version: v1\.'
	eventually is InvalidImageName kn get pod other -o 'jsonpath={.status.containerStatuses[0].state.waiting.reason}'
	kn get pod other -o 'jsonpath={.status.containerStatuses[0].state.waiting.message}' | grep -e --host-programs
}
[ "${KUBELET:-ours}" != ours ] || it 'a pod of the API runs a program of the node without any image, where the node allows it' a_pod_runs_a_program_of_the_node
