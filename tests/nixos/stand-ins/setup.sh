# shellcheck shell=bash disable=SC2154
# What builders of nixpkgs expect of stdenv's setup: its shell options, and the functions that fill in values.
set -eo pipefail
shopt -s nullglob

# substitute IN OUT [--replace… A B] [--subst-var NAME] [--subst-var-by NAME VALUE]...
substitute() {
	local in=$1 out=$2 text
	shift 2
	text=$(cat "$in" && printf x)
	while [ $# -gt 0 ]; do
		case $1 in
		--replace | --replace-fail | --replace-warn | --replace-quiet) text=${text//"$2"/"$3"} && shift 3 ;;
		--subst-var) text=${text//"@$2@"/"${!2}"} && shift 2 ;;
		--subst-var-by) text=${text//"@$2@"/"$3"} && shift 3 ;;
		*) echo "substitute: unknown argument $1" >&2 && return 1 ;;
		esac
	done
	[ ! -e "$out" ] || chmod u+w "$out"
	printf %s "${text%x}" >"$out"
}

# substituteInPlace FILE... ARGUMENTS
substituteInPlace() {
	local files=() file
	while [ $# -gt 0 ] && [ "${1#--}" = "$1" ]; do files+=("$1") && shift; done
	for file in "${files[@]}"; do substitute "$file" "$file" "$@"; done
}

# substituteAll IN OUT: every variable of the builder.
substituteAll() {
	local name arguments=()
	for name in $(compgen -e); do
		if [[ $name =~ ^[a-z] ]]; then arguments+=(--subst-var "$name"); fi
	done
	substitute "$1" "$2" "${arguments[@]}"
}

# link_tree FROM TO: FROM's files as links, in folders of TO; what is there already stays.
link_tree() {
	mkdir -p "$2"
	cp -rsn --no-preserve=mode "$1/." "$2/" 2>/dev/null || true
}
