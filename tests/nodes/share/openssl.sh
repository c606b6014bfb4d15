# shellcheck shell=bash
# Certificates made with openssl, on the machine that runs the tests. Files are PATH.key and PATH.crt.

new_key=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)

# authority PATH SUBJECT
authority() { openssl req -x509 "${new_key[@]}" -days 3650 -keyout "$1.key" -out "$1.crt" -subj "$2" -addext keyUsage=critical,keyCertSign,cRLSign 2>/dev/null; }

# sign REQUEST AUTHORITY USAGE [SANS]: the certificate, on stdout.
sign() {
	openssl x509 -req -in "$1" -CA "$2.crt" -CAkey "$2.key" -set_serial "0x$(openssl rand -hex 8)" -days 365 -extfile <(
		printf 'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature,keyEncipherment\nextendedKeyUsage=%s\n' "$3"
		[ -z "${4:-}" ] || printf 'subjectAltName=%s\n' "$4"
	) 2>/dev/null
}

# leaf PATH AUTHORITY SUBJECT USAGE [SANS]
leaf() {
	openssl req -new "${new_key[@]}" -keyout "$1.key" -out "$1.csr" -subj "$3" 2>/dev/null
	sign "$1.csr" "$2" "$4" "${5:-}" >"$1.crt"
	rm "$1.csr"
}
