# shellcheck shell=bash
# Nodes that look like NixOS to a bootstrapper: units and files of /etc are those that nix/lib renders, as links into a
# read-only store; programs exist only by store path; services find no program that their unit does not name. (The rest
# of the machine is Debian's: `make nixos` evaluates the module on the real NixOS.)

nixos_store() { echo "$(node_dir "$1")/nix/store"; }

# nixos_put NODE NAME FOLDER: moves a folder into the node's store, and prints its path there.
nixos_put() {
	local hash path
	hash=$(cd "$3" && find . -type f -o -type l | sort | while read -r file; do
		echo "$file"
		readlink "$file" || cat "$file"
	done | sha256sum | cut -c1-32)
	path=$hash-$2
	[ -d "$(nixos_store "$1")/$path" ] || cp -a "$3" "$(nixos_store "$1")/$path"
	rm -rf "$3"
	echo "/nix/store/$path"
}

# nixos_package NODE NAME [PROGRAM=]FILE...: creates a package with these programs: copies, and links to those that the
# node has in /usr.
nixos_package() {
	local node=$1 name=$2 folder program
	shift 2
	folder=$(mktemp -d)
	mkdir "$folder/bin"
	for program; do
		case $program in
		/usr/*) ln -s "$program" "$folder/bin/" ;; # in the node
		*=/*) install -m 0755 "${program#*=}" "$folder/bin/${program%%=*}" ;;
		*) install -m 0755 "$program" "$folder/bin/" ;;
		esac
	done
	nixos_put "$node" "$name" "$folder"
}

# nixos_packages NODE: creates all packages, and prints them as a Nix attribute set.
nixos_packages() {
	local node=$1 folder
	mkdir -p "$(nixos_store "$node")"
	folder=$(mktemp -d)
	mkdir "$folder/bin"
	install -m 0755 "$(our_program bootstrap)" "$(our_program kubelet)" "$folder/bin/"
	echo "{ roost = \"$(nixos_put "$node" roost "$folder")\";"
	echo "etcd = \"$(nixos_package "$node" etcd "$bin"/etcd{,ctl,utl})\";"
	echo "kubernetes = \"$(nixos_package "$node" kubernetes "$bin"/kube-{apiserver,controller-manager,scheduler})\";"
	echo "coredns = \"$(nixos_package "$node" coredns "$bin/coredns")\";"
	echo "pause = \"$(nixos_package "$node" pause "pause=$("$here/images/build" --program pause)")\";"
	echo "nftables = \"$(nixos_package "$node" nftables /usr/sbin/nft)\";"
	echo "util-linux = \"$(nixos_package "$node" util-linux /usr/bin/mount /usr/bin/umount)\";"
	echo "nfs-utils = \"$(nixos_package "$node" nfs-utils /usr/sbin/mount.nfs)\";"
	echo "shadow = \"$(nixos_package "$node" shadow /usr/bin/getsubids)\";"
	echo "coreutils = \"$(nixos_package "$node" coreutils /usr/bin/true /usr/bin/id)\";"
	echo "systemd = \"$(nixos_package "$node" systemd /usr/bin/systemctl /usr/bin/journalctl)\"; }"
}

# nixos_settings NODE JOIN: services.roost of the node, as nix/lib takes it.
nixos_settings() {
	cat <<-NIX
		let
		  p = import $(node_dir "$1")/packages.nix;
		  # Merged like modules: options of a rebuild take precedence.
		  merge = a: b: a // builtins.mapAttrs (n: v: if builtins.isAttrs v && builtins.isAttrs (a.\${n} or null) then merge a.\${n} v else v) b;
		in merge {
		  role = "$(if is_control_plane "$1"; then echo control-plane; else echo worker; fi)";
		  mode = "$MODE";
		  package = p.roost;
		  node = { name = "$1"; host_programs = [ "/nix/store" ]; };
		  components = {
		    source = "host";
		    binaries = {
		      etcd = "\${p.etcd}/bin/etcd";
		      kube-apiserver = "\${p.kubernetes}/bin/kube-apiserver";
		      kube-controller-manager = "\${p.kubernetes}/bin/kube-controller-manager";
		      kube-scheduler = "\${p.kubernetes}/bin/kube-scheduler";
		      coredns = "\${p.coredns}/bin/coredns";
		      pause = "\${p.pause}/bin/pause";
		    };
		  };
		  settings = {
		    kubelet = {
		      failCgroupV1 = false;
		      maxPods = $MAX_PODS;
		      imageGCHighThresholdPercent = 100;
		      evictionHard = { "memory.available" = "100Mi"; "nodefs.available" = "0%"; "nodefs.inodesFree" = "0%"; "imagefs.available" = "0%"; };
		    };
		    kube_proxy.conntrack.maxPerCore = 0;
		  };
		  $2
		} { $(cat "$(node_dir "$1")/more" 2>/dev/null || true) }
	NIX
}

# nixos_lay NODE JOIN: creates a generation of the node's settings; /etc links to it.
nixos_lay() {
	local node=$1 root dir folder files unit before want
	root=$(node_root "$node") dir=$(node_dir "$node")
	echo "$2" >"$dir/join"
	nixos_settings "$node" "$2" >"$dir/settings.nix"
	NIX_STATE_DIR=$dir/nix-state NIX_STORE_DIR=$dir/nix-eval NIX_CONFIG='store = dummy://' nix-instantiate --eval --strict --json \
		-E "let node = (import $repo/nix/lib).node (import $dir/settings.nix); p = import $dir/packages.nix; in builtins.removeAttrs node [ \"settings\" ] // { paths = builtins.mapAttrs (_: names: builtins.concatStringsSep \":\" (map (name: \"\${p.\${name}}/bin\") (names ++ [ \"coreutils\" \"systemd\" ]))) node.paths; }" >"$dir/generation.json" ||
		fail "node $node: its settings do not evaluate"
	jq -e '.faults == []' "$dir/generation.json" >/dev/null || fail "node $node: $(jq -c .faults "$dir/generation.json")"
	folder=$(mktemp -d)
	mkdir "$folder/static-pods"
	while read -r unit; do jq -r --arg f "$unit" '.files[$f]' "$dir/generation.json" >"$folder/${unit#roost/}"; done < <(jq -r '.files | keys[]' "$dir/generation.json")
	rm -rf "$root/etc/roost"
	files=$(nixos_put "$node" etc-roost "$folder")
	ln -sfn "$files" "$root/etc/roost"
	folder=$(mktemp -d)
	# What the machine has besides our files.
	cp -a "$dir/units-of-debian/." "$folder/"
	while read -r unit; do
		jq -r --arg u "$unit" '.units[$u]' "$dir/generation.json" >"$folder/$unit"
		before=$(jq -r --arg u "${unit%.service}" '.paths[$u] // ""' "$dir/generation.json")
		[[ $unit != *.service ]] || sed -i "s#^\[Service\]#&\nEnvironment=PATH=${before:-$(sed -n 's/.*systemd = "\([^"]*\)".*/\1/p' "$dir/packages.nix")/bin}#" "$folder/$unit"
		# `restartTriggers` of nix/modules/units.nix.
		case $unit in roost-bootstrap.service | roost-agent.service) sed -i "s#^\[Unit\]#&\nX-Restart-Triggers=$files/cluster.toml#" "$folder/$unit" ;; esac
		while read -r want; do
			mkdir -p "$folder/$want.wants"
			ln -s "../$unit" "$folder/$want.wants/$unit"
		done < <(sed -n 's/^WantedBy=//p' "$folder/$unit")
	done < <(jq -r '.units | keys[]' "$dir/generation.json")
	while read -r unit; do
		mkdir -p "$folder/$unit.d"
		jq -r --arg u "$unit" '.dropins[$u]' "$dir/generation.json" >"$folder/$unit.d/overrides.conf"
	done < <(jq -r '.dropins | keys[]' "$dir/generation.json")
	for unit in $(jq -r '.services[]' "$dir/generation.json"); do
		ln -s "../roost-$unit.service" "$folder/multi-user.target.wants/roost-$unit.service"
	done
	if [ "$(jq '.services | length' "$dir/generation.json")" != 0 ]; then
		printf '[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/usr/bin/id --user%s\n' "$(jq -r '.services | map(" roost-" + .) | add' "$dir/generation.json")" >"$folder/roost-users.service"
		ln -s ../roost-users.service "$folder/multi-user.target.wants/"
		for unit in $(jq -r '.services[]' "$dir/generation.json"); do
			grep -q "^roost-$unit:" "$root/etc/passwd" || systemd-sysusers --root="$root" --inline "u roost-$unit -"
		done
	fi
	ln -sfn "$(nixos_put "$node" system-units "$folder")" "$root/etc/systemd/system"
}

# nixos_make NODE: before its first boot.
nixos_make() {
	local node=$1 root dir
	root=$(node_root "$node") dir=$(node_dir "$node")
	nixos_packages "$node" >"$dir/packages.nix"
	mkdir -p "$dir/units-of-debian" "$root/nix" "$root/etc/systemd-mutable/system" "$root/var/lib/secrets" "$root/etc/systemd/system.conf.d" "$root"/etc/cni/net.d "$root/etc/kubernetes"
	cp -a "$root/etc/systemd/system/." "$dir/units-of-debian/"
	# containerd's unit on NixOS names its tools too.
	mkdir -p "$dir/units-of-debian/containerd.service.d"
	printf '[Service]\nEnvironment=PATH=/usr/local/bin:/usr/sbin:/usr/bin\n' >"$dir/units-of-debian/containerd.service.d/path.conf"
	rm -rf "$root/etc/systemd/system"
	# The manager's own path on NixOS contains only programs of systemd.
	printf '[Manager]\nDefaultEnvironment=PATH=%s/bin\n' "$(sed -n 's/.*systemd = "\([^"]*\)".*/\1/p' "$dir/packages.nix")" >"$root/etc/systemd/system.conf.d/path.conf"
	# For commands typed in the node, like environment.systemPackages.
	ln -sfn "$(sed -n 's/.*roost = "\([^"]*\)".*/\1/p' "$dir/packages.nix")/bin/bootstrap" "$root/usr/local/bin/bootstrap"
	if [ "$node" = n1 ]; then nixos_lay "$node" ''; else nixos_lay "$node" "$(nixos_join 127.0.0.1:6443 "$(printf '%064d' 0)")"; fi
}

# nixos_join ENDPOINT HASH
nixos_join() { echo "join = { endpoint = \"$1\"; ca_hash = \"sha256:$2\"; token_file = \"/var/lib/secrets/join-token\"; };"; }

# nixos_switch NODE JOIN: switches the node to another generation.
nixos_switch() {
	local old
	old=$(readlink "$(node_root "$1")/etc/systemd/system")
	nixos_lay "$1" "$2"
	nixos_activate "$1" "$old"
}

# nixos_activate NODE OLD: switches from those units by the rules of switch-to-configuration: restarts what changed,
# except units that opt out.
nixos_activate() {
	local node=$1 old=$2 new unit
	new=$(readlink "$(node_root "$node")/etc/systemd/system")
	node_enter "$node" systemctl daemon-reload
	for unit in $(jq -r '.units | keys[] | select(test("@") | not)' "$(node_dir "$node")/generation.json"); do
		cmp -s "$(nixos_store "$node")/${old##*/}/$unit" "$(nixos_store "$node")/${new##*/}/$unit" && continue
		grep -qsx 'X-RestartIfChanged=false' "$(nixos_store "$node")/${new##*/}/$unit" && continue
		case $unit in
		roost-snapshot.service | roost-renewal.service | roost-drill.service) ;; # a timer's
		*) node_enter "$node" systemctl --no-block restart "$unit" ;;
		esac
	done
}

# nixos_rebuild NODE SETTINGS: does what `nixos-rebuild switch` does with these options of services.roost added to the
# node's own. The previous generation is kept for `nixos_rollback`.
nixos_rebuild() {
	local node=$1 dir root link
	dir=$(node_dir "$node") root=$(node_root "$node")
	cp -a "$dir/more" "$dir/more.before" 2>/dev/null || : >"$dir/more.before"
	for link in systemd/system roost; do ln -sfn "$(readlink "$root/etc/$link")" "$dir/before-${link##*/}"; done
	echo "$2" >"$dir/more"
	# Settings that do not evaluate make no generation.
	(nixos_switch "$node" "$(cat "$dir/join")") || { cp "$dir/more.before" "$dir/more"; return 1; }
}

# nixos_rollback NODE: what `nixos-rebuild switch --rollback` does.
nixos_rollback() {
	local node=$1 dir root old
	dir=$(node_dir "$node") root=$(node_root "$node")
	old=$(readlink "$root/etc/systemd/system")
	ln -sfn "$(readlink "$dir/before-system")" "$root/etc/systemd/system"
	rm -f "$root/etc/roost"
	ln -sfn "$(readlink "$dir/before-roost")" "$root/etc/roost"
	cp "$dir/more.before" "$dir/more"
	nixos_activate "$node" "$old"
}

unit_is_active() { node_enter "$1" systemctl is-active --quiet "$2"; }

nixos_bootstrap() {
	local node words
	wait_until 300 'node n1: roost-bootstrap.service' unit_is_active n1 roost-bootstrap.service
	say 'roost-bootstrap.service is done'
	for node in $(node_names); do
		if [ "$node" = n1 ] || [ -f "$(node_dir "$node")/joined" ]; then continue; fi
		read -ra words <<<"$(roost_join "$node")" # bootstrap join ENDPOINT --token T --ca-hash sha256:H …
		printf '%s' "$(sed -n 's/.*--token \([^ ]*\).*/\1/p' <<<"${words[*]}")" >"$(node_root "$node")/var/lib/secrets/join-token"
		nixos_switch "$node" "$(nixos_join "${words[2]}" "$(sed -n 's/.*sha256:\([0-9a-f]*\).*/\1/p' <<<"${words[*]}")")"
		wait_until 300 "node $node: roost-bootstrap.service" unit_is_active "$node" roost-bootstrap.service
		touch "$(node_dir "$node")/joined"
		say "node $node joined"
	done
}
