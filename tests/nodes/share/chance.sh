# shellcheck shell=bash
# Repeatable randomness: SEED=… repeats a run as far as machines allow.

: "${SEED:=$((($(date +%s) + $$) % 1000000))}"
echo "SEED=$SEED"
chance=$SEED

# roll N: sets $rolled to a random number below N. (A command substitution would lose the generator's state.)
roll() {
	chance=$(((chance * 1103515245 + 12345) & 0x7fffffff))
	# shellcheck disable=SC2034 # for the tests
	rolled=$(((chance >> 8) % $1))
}

# pick WORD...: sets $picked to one of them.
pick() {
	roll $#
	# shellcheck disable=SC2034 # for the tests
	picked=${*:rolled+1:1}
}

# shuffle WORD...: sets the array $shuffled to them in some order.
shuffle() {
	shuffled=()
	while [ $# -gt 0 ]; do
		pick "$@"
		shuffled+=("$picked")
		# shellcheck disable=SC2046 # words
		set -- $(printf '%s\n' "$@" | grep -vxF "$picked")
	done
}
