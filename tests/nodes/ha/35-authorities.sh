# shellcheck shell=bash
# CA rotation with three control planes, under load.

. "$here/share/control-planes.sh"
. "$here/share/load.sh"
. "$here/share/authorities.sh"

replaced_under_load() {
	local next node begin=$SECONDS
	load_begins
	for node in "${three[@]}"; do rotate "$node" prepare; done
	next=$(rotate n1 status --output json | jq -r .authority.next)
	eventually kubelets "$both"
	new_admin
	load_goes_on
	# It waits until the cluster's own pods were restarted.
	eventually rotate n1 switch
	for node in n2 n3; do rotate "$node" switch; done
	new_admin
	eventually kubelets "$renewed"
	for node in "${three[@]}"; do rotate "$node" finish; done
	load_goes_on
	load_ends
	note "other authorities: $((SECONDS - begin)) s, $load"
	[ "$acknowledged" -gt 100 ]
	# At most one server was down at a time.
	is 0 echo "$refused"
	for node in "${three[@]}"; do is '' left_over "$node"; done
	whole
	pod after n3 pause
}
it 'the CAs of three control planes are rotated under load, and no acknowledged write is lost' replaced_under_load
