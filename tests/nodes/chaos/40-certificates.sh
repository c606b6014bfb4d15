# shellcheck shell=bash
# Corrupt certificates, and certificates with a lifetime of a few minutes.

. "$here/share/control-planes.sh"
. "$here/share/load.sh"
. "$here/share/chance.sh"

told() { on "$1" -- sh -c 'bootstrap status || true' | grep "problem: certificate $2"; }

corrupt() {
	local node file pki=/etc/kubernetes/pki
	for file in $pki/apiserver-etcd-client.crt $pki/front-proxy-client.crt $pki/etcd/peer.crt /etc/kubernetes/scheduler.conf; do
		pick "${three[@]}"
		node=$picked
		roll 3
		case $rolled in
		0) on "$node" -- sh -c "head -c 1200 /dev/urandom >$file" ;;
		1) on "$node" -- sh -c "head -c 300 $file >$file.cut; cat $file.cut >$file; rm $file.cut" ;;
		2) on "$node" -- sh -c ": >$file" ;;
		esac
		echo "$file of $node in way $rolled"
		not on "$node" -- bootstrap status
		told "$node" "$file"
		on "$node" -- bootstrap certs renew
		on "$node" -- bootstrap certs renew --output json | jq -e '.changed == 0'
		whole
	done
}
it 'a corrupt certificate is reported, and a renewal replaces it' corrupt

serial() { { openssl s_client -connect "$(cluster ip "$1"):$2" </dev/null 2>/dev/null || true; } | openssl x509 -noout -serial; }

other_serial() { [ -n "$(serial "$1" "$2")" ] && [ "$(serial "$1" "$2")" != "$3" ]; }

# A lifetime of 90 seconds: due after a minute, and expired half a minute later.
renewed_again_and_again() {
	local node before
	for node in "${three[@]}"; do
		on "$node" -- sh -c 'printf "\n[certs]\nleaf = \"90s\"\n" >>/etc/roost/cluster.toml'
		on "$node" -- sh -c 'bootstrap init --phase renewal'
		on "$node" -- bootstrap certs renew --all
		# A new one is not due.
		on "$node" -- bootstrap certs renew --output json | jq -e '.changed == 0'
	done
	load_begins
	for _ in 1 2 3; do
		before=$(serial n2 6443)
		eventually other_serial n2 6443 "$before"
		date
		load_goes_on
	done
	# The first certificates expired long ago, and everything works.
	for node in "${three[@]}"; do
		eventually on "$node" -- bootstrap etcd health
		eventually is True k get node "$node" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}'
	done
	pod lives n1 pause
	for node in "${three[@]}"; do
		on "$node" -- sed -i '/^\[certs\]/,$d' /etc/roost/cluster.toml
		on "$node" -- bootstrap init --phase renewal
		on "$node" -- bootstrap certs renew --all
	done
	on n1 -- cat /etc/kubernetes/admin.conf >"$state/admin.conf"
	whole
	load_ends
	note "      certificates of 90 seconds, three times over: $load"
	[ "$refused" = 0 ]
}
it 'certificates with a lifetime of 90 seconds are renewed repeatedly under load' renewed_again_and_again
