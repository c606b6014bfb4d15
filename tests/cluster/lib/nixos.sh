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
	chmod -R u=rX,go=rX "$3" # everybody may read a store, and nobody write
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

# kubernetes_program NAME [VERSION]: the path of a control-plane program of this version (default: the cluster's).
kubernetes_program() {
	local version=${2:-$KUBERNETES}
	if [ "$version" = v1.36.3 ]; then echo "$bin/$1"; else echo "$bin/$1-$version"; fi
}

# nixos_packages NODE: creates all packages, and prints them as a Nix attribute set.
nixos_packages() {
	local node=$1 folder name kubernetes=()
	mkdir -p "$(nixos_store "$node")"
	for name in kube-{apiserver,controller-manager,scheduler}; do kubernetes+=("$name=$(kubernetes_program "$name")"); done
	folder=$(mktemp -d)
	mkdir "$folder/bin"
	install -m 0755 "$(our_program bootstrap)" "$(our_program kubelet)" "$folder/bin/"
	echo "{ roost = \"$(nixos_put "$node" roost "$folder")\";"
	echo "etcd = \"$(nixos_package "$node" etcd "$bin"/etcd{,ctl,utl})\";"
	echo "kubernetes = \"$(nixos_package "$node" kubernetes "${kubernetes[@]}")\";"
	echo "kubectl = \"$(nixos_package "$node" kubectl "$bin/kubectl")\";"
	echo "coredns = \"$(nixos_package "$node" coredns "$bin/coredns")\";"
	echo "pause = \"$(nixos_package "$node" pause "pause=$("$here/images/build" --program pause)")\";"
	echo "busybox = \"$(nixos_package "$node" busybox busybox="$(command -v busybox)")\";"
	echo "nftables = \"$(nixos_package "$node" nftables /usr/sbin/nft)\";"
	echo "util-linux = \"$(nixos_package "$node" util-linux /usr/bin/mount /usr/bin/umount /usr/sbin/blkid /usr/sbin/fsck)\";"
	echo "e2fsprogs = \"$(nixos_package "$node" e2fsprogs /usr/sbin/mkfs.ext4 /usr/sbin/fsck.ext4)\";"
	echo "iptables = \"$(nixos_package "$node" iptables /usr/sbin/iptables /usr/sbin/ip6tables)\";"
	echo "xfsprogs = \"$(nixos_package "$node" xfsprogs /usr/sbin/mkfs.xfs /usr/sbin/fsck.xfs)\";"
	echo "nfs-utils = \"$(nixos_package "$node" nfs-utils /usr/sbin/mount.nfs)\";"
	echo "shadow = \"$(nixos_package "$node" shadow /usr/bin/getsubids)\";"
	echo "coreutils = \"$(nixos_package "$node" coreutils /usr/bin/true /usr/bin/id)\";"
	echo "systemd = \"$(nixos_package "$node" systemd /usr/bin/systemctl /usr/bin/journalctl)\"; }"
}

# nixos_path NODE PACKAGE: where the node's store has it.
nixos_path() { sed -n "s/.*\b$2 = \"\([^\"]*\)\".*/\1/p" "$(node_dir "$1")/packages.nix"; }

# nixos_settings NODE JOIN: services.roost of the node, as nix/lib takes it: what all nodes here have, over it a whole
# configuration that the cluster was given ($state/given/NODE.nix, a function), over that what the last rebuild added.
nixos_settings() {
	local given=$state/given/$1.nix
	cat <<-NIX
		let
		  p = import $(node_dir "$1")/packages.nix;
		  # Merged like modules: options of a rebuild take precedence.
		  merge = a: b: a // builtins.mapAttrs (n: v: if builtins.isAttrs v && builtins.isAttrs (a.\${n} or null) then merge a.\${n} v else v) b;
		in merge (merge {
		  role = "$(if is_control_plane "$1"; then echo control-plane; else echo worker; fi)";
		  mode = "$MODE";
		  package = p.roost;
		  node = { name = "$1"; $([ -f "$given" ] || echo 'host_programs = [ "/nix/store" ];') };
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
		  # The kubelet says that it is of the same version, as that of a Roost of the time would be.
		  versions = builtins.listToAttrs (map (name: { inherit name; value = "$KUBERNETES"; }) [ "kubelet" "kube_apiserver" "kube_controller_manager" "kube_scheduler" ]);
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
		} ($(if [ -f "$given" ]; then echo "import $given { packages = p; address = \"$(node_address "$1")\"; }"; else echo '{ }'; fi)))
		{ $(cat "$(node_dir "$1")/more" 2>/dev/null || true) }
	NIX
}

# nixos_told NODE FILTER: a value of its newest generation. nixos_text NODE KIND NAME: one of its texts, or a list.
nixos_told() { jq -r "$2" "$(node_dir "$1")/generation.json"; }
nixos_text() { jq -r --arg kind "$2" --arg name "$3" '.[$kind][$name] | if type == "array" then .[] else . end' "$(node_dir "$1")/generation.json"; }

# nixos_lay NODE JOIN: creates a generation of the node's settings; /etc links to it.
nixos_lay() {
	local node=$1 root dir folder files unit name
	root=$(node_root "$node") dir=$(node_dir "$node")
	echo "$2" >"$dir/join"
	nixos_settings "$node" "$2" >"$dir/settings.nix"
	NIX_STATE_DIR=$dir/nix-state NIX_STORE_DIR=$dir/nix-eval NIX_CONFIG='store = dummy://' nix-instantiate --eval --strict --json \
		-E "import $here/lib/nixos.nix { roost = import $repo/nix/lib; packages = import $dir/packages.nix; options = import $dir/settings.nix; }" >"$dir/generation.new" ||
		fail "node $node: its settings do not evaluate"
	jq -e '.faults == []' "$dir/generation.new" >/dev/null || fail "node $node: $(jq -c .faults "$dir/generation.new")"
	mv "$dir/generation.new" "$dir/generation.json"
	folder=$(mktemp -d)
	mkdir "$folder/static-pods"
	while read -r name; do nixos_text "$node" etc "$name" >"$folder/${name#roost/}"; done < <(nixos_told "$node" '.ours[]')
	rm -rf "$root/etc/roost"
	files=$(nixos_put "$node" etc-roost "$folder")
	ln -sfn "$files" "$root/etc/roost"
	while read -r name; do
		folder=$(mktemp -d)
		nixos_text "$node" etc "$name" >"$folder/text"
		mkdir -p "$(dirname "$root/etc/$name")"
		ln -sfn "$(nixos_put "$node" "etc-${name//\//-}" "$folder")/text" "$root/etc/$name"
	done < <(nixos_told "$node" '.others[]')
	folder=$(mktemp -d)
	# What the machine has besides our files.
	cp -a "$dir/units-of-debian/." "$folder/"
	while read -r unit; do
		nixos_text "$node" units "$unit" >"$folder/$unit"
		while read -r name; do
			mkdir -p "$folder/$name.wants"
			ln -s "../$unit" "$folder/$name.wants/$unit"
		done < <(nixos_text "$node" wants "$unit")
	done < <(nixos_told "$node" '.units | keys[]')
	while read -r unit; do
		mkdir -p "$folder/$unit.d"
		nixos_text "$node" dropins "$unit" >"$folder/$unit.d/overrides.conf"
	done < <(nixos_told "$node" '.dropins | keys[]')
	# Services of components: their text is bootstrap's, the system enables them and declares their users.
	for unit in $(nixos_told "$node" '.services[]'); do
		mkdir -p "$folder/roost-$unit.service.d"
		printf '[Unit]\nX-RestartIfChanged=false\n\n[Service]\nEnvironment=PATH=%s\n' "$(nixos_told "$node" .path)" >"$folder/roost-$unit.service.d/overrides.conf"
		ln -s "../roost-$unit.service" "$folder/multi-user.target.wants/roost-$unit.service"
		grep -q "^roost-$unit:" "$root/etc/passwd" || systemd-sysusers --root="$root" --inline "u roost-$unit -"
	done
	if [ "$(nixos_told "$node" '.services | length')" != 0 ]; then
		printf '[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=%s/bin/id --user%s\n' "$(nixos_path "$node" coreutils)" "$(nixos_told "$node" '.services | map(" roost-" + .) | add')" >"$folder/roost-users.service"
		ln -s ../roost-users.service "$folder/multi-user.target.wants/"
	fi
	ln -sfn "$(nixos_put "$node" system-units "$folder")" "$root/etc/systemd/system"
}

# nixos_make NODE: before its first boot.
nixos_make() {
	local node=$1 root dir name
	root=$(node_root "$node") dir=$(node_dir "$node")
	nixos_packages "$node" >"$dir/packages.nix"
	mkdir -p "$dir/units-of-debian" "$root/nix" "$root/etc/systemd-mutable/system" "$root/var/lib/secrets" "$root/etc/systemd/system.conf.d" "$root"/etc/cni/net.d "$root/etc/kubernetes"
	cp -a "$root/etc/systemd/system/." "$dir/units-of-debian/"
	# containerd's unit on NixOS names its tools too.
	mkdir -p "$dir/units-of-debian/containerd.service.d"
	printf '[Service]\nEnvironment=PATH=/usr/local/bin:/usr/sbin:/usr/bin\n' >"$dir/units-of-debian/containerd.service.d/path.conf"
	rm -rf "$root/etc/systemd/system" "$root/etc/motd"
	# The manager's own path on NixOS contains only programs of systemd.
	printf '[Manager]\nDefaultEnvironment=PATH=%s/bin\n' "$(nixos_path "$node" systemd)" >"$root/etc/systemd/system.conf.d/path.conf"
	# For commands typed in the node, like environment.systemPackages.
	ln -sfn "$(nixos_path "$node" roost)/bin/bootstrap" "$(nixos_path "$node" kubectl)/bin/kubectl" "$root/usr/local/bin/"
	if [ "$node" = n1 ]; then nixos_lay "$node" ''; else nixos_lay "$node" "$(nixos_join 127.0.0.1:6443 "$(printf '%064d' 0)")"; fi
}

# nixos_join ENDPOINT HASH
nixos_join() { echo "join = { endpoint = \"$1\"; ca_hash = \"sha256:$2\"; token_file = \"/var/lib/secrets/join-token\"; };"; }

# nixos_generation NODE: the targets of its links.
nixos_generation() {
	local link
	for link in systemd/system roost; do readlink "$(node_root "$1")/etc/$link"; done
}

# nixos_switch NODE JOIN: switches the node to another generation.
nixos_switch() {
	local old
	old=$(nixos_generation "$1" | sed -n 1p)
	(nixos_lay "$1" "$2") || return 1
	nixos_activate "$1" "$old"
}

# nixos_activate NODE OLD: switches from those units by the rules of switch-to-configuration: stops what is gone, stops and
# starts what changed except units that opt out, restarts those with `stopIfChanged = false` (nix/modules/units.nix) in one
# step, and starts what active targets want. Waits for all of it; 4, as there, if a unit failed.
nixos_activate() {
	local node=$1 old new unit restarted=() stopped=() started=(multi-user.target timers.target) code=0
	old=$(nixos_store "$node")/${2##*/}
	new=$(nixos_store "$node")/$(basename "$(nixos_generation "$node" | sed -n 1p)")
	for unit in $(cd "$old" && ls -d -- kubelet.* roost-* static-pods.*); do
		[ -e "$new/$unit" ] || [ -d "$old/$unit" ] || stopped+=("$unit")
	done
	for unit in $(cd "$new" && ls -d -- kubelet.* roost-* static-pods.*); do
		if [ -d "$new/$unit" ] || cmp -s "$old/$unit" "$new/$unit" || grep -qx 'X-RestartIfChanged=false' "$new/$unit"; then continue; fi
		case $unit in
		roost-snapshot.service | roost-renewal.service | roost-drill.service) ;; # a timer's
		kubelet.service | roost-agent.service | roost-bootstrap.service) restarted+=("$unit") ;;
		*)
			[ ! -e "$old/$unit" ] || stopped+=("$unit")
			started+=("$unit")
			;;
		esac
	done
	[ ${#stopped[@]} = 0 ] || node_enter "$node" systemctl stop "${stopped[@]}" || code=4
	node_enter "$node" systemctl daemon-reload
	[ ${#restarted[@]} = 0 ] || node_enter "$node" systemctl restart "${restarted[@]}" || code=4
	node_enter "$node" systemctl start "${started[@]}" || code=4
	[ -z "$(node_enter "$node" systemctl list-units --plain --no-legend --state=failed,auto-restart 'roost-*' kubelet.service)" ] || code=4
	return $code
}

# nixos_rebuild NODE SETTINGS: does what `nixos-rebuild switch` does with these options of services.roost added to the
# node's own. The previous generation is kept for `nixos_rollback`.
nixos_rebuild() {
	local node=$1 dir old
	dir=$(node_dir "$node")
	cp -a "$dir/more" "$dir/more.before" 2>/dev/null || : >"$dir/more.before"
	nixos_generation "$node" >"$dir/generation.before"
	old=$(head -n 1 "$dir/generation.before")
	echo "$2" >"$dir/more"
	# Settings that do not evaluate make no generation.
	(nixos_lay "$node" "$(cat "$dir/join")") || { cp "$dir/more.before" "$dir/more"; return 1; }
	nixos_activate "$node" "$old"
}

# nixos_rollback NODE: what `nixos-rebuild switch --rollback` does.
nixos_rollback() {
	local node=$1 dir root old
	dir=$(node_dir "$node") root=$(node_root "$node")
	old=$(nixos_generation "$node" | sed -n 1p)
	{
		read -r units
		read -r files
	} <"$dir/generation.before"
	ln -sfn "$units" "$root/etc/systemd/system"
	rm -f "$root/etc/roost"
	ln -sfn "$files" "$root/etc/roost"
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
		# It may be tried again.
		nixos_switch "$node" "$(nixos_join "${words[2]}" "$(sed -n 's/.*sha256:\([0-9a-f]*\).*/\1/p' <<<"${words[*]}")")" || say "node $node: joins once more"
		wait_until 300 "node $node: roost-bootstrap.service" unit_is_active "$node" roost-bootstrap.service
		touch "$(node_dir "$node")/joined"
		say "node $node joined"
	done
}
