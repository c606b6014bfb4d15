# shellcheck shell=bash
# Settings of a control plane of services.
at_rest() { [ "$(on n1 -- bootstrap apply --dry-run --output json | jq .changed)" = 0 ]; }
flags_of() { on n1 -- systemctl show -p ExecStart --value "roost-$1.service"; }
units_of() { on n1 -- sh -c 'cat /etc/systemd/system/roost-kube-*.service' | sha256sum; }

settings_are_applied_to_services() {
	at_rest
	on n1 -- bootstrap verify
	on n1 -- bootstrap apply --set 'args=kube-scheduler = { v = "3" }'
	flags_of kube-scheduler | matches -- --v=3
	not on n1 -- bootstrap verify
	on n1 -- bootstrap apply
	not grep -q -- --v=3 <<<"$(flags_of kube-scheduler)"
	on n1 -- bootstrap verify
	local before
	before=$(units_of)
	not on n1 -- bootstrap apply --set 'args=kube-apiserver = { no-such-flag = "1" }' 2>"$log.error"
	grep -q 'kube-apiserver did not become healthy' "$log.error"
	rm "$log.error"
	[ "$(units_of)" = "$before" ]
	eventually k get --raw /readyz
	eventually at_rest
}
it 'a changed setting restarts only its service, and a wrong one is rolled back' settings_are_applied_to_services
