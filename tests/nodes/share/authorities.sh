# shellcheck shell=bash
# The stages of a CA rotation.

pki=/etc/kubernetes/pki
rotate() { on "$1" -- bootstrap certs rotate-ca "${@:2}"; }
# Used by all commands of the tests; replaced atomically, as some run meanwhile.
new_admin() { on n1 -- cat /etc/kubernetes/admin.conf >"$state/admin.conf.new" && mv "$state/admin.conf.new" "$state/admin.conf"; }
left_over() { on "$1" -- find $pki -name '*-next.*' -o -name '*-former.*'; }

# shellcheck disable=SC2016,SC2034 # $next and $serving are jq's; for the tests
both='.trusts | contains([$next])' renewed='.client == $next and (.serving == null or .serving == $serving)'
# kubelets JQ: what all nodes report about the CAs of their kubelets.
kubelets() { rotate n1 status --output json | jq -e --arg next "$next" ".kubeletServing.next as \$serving | [.kubelets[].authorities | $1] | length == 3 and all"; }
